"""Turns per second of a flow of a hundred routines in a line, each in a process of its own."""

from __future__ import annotations

import msgspec

from benchmarks.bare.loop import BareLoop
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import one_host, take_jobs


class Sizes(msgspec.Struct, frozen=True):
    routines: int = 100
    jobs: int = 200


def measure(run: Run[Sizes]) -> Measured:
    routines, jobs = run.sizes.routines, run.sizes.jobs
    turns = routines * jobs
    flow = f"linear:chain_{routines}"
    loop = BareLoop(run.new_folder("bare"), routines)
    try:
        with one_host(run.folder) as host, host.client() as client:
            run.say(f"starting {routines} processes")
            take_jobs(client, flow, [{"i": 0}], routines)
            run.say(f"{jobs} jobs through {routines} routines")
            ours, beside = run.alternately(
                lambda _: turns / take_jobs(client, flow, [{"i": n} for n in range(jobs)], routines),
                lambda number: turns / loop.run(number, jobs),
            )
    finally:
        loop.close()
    return Measured([
        Line("turns", f"{jobs} jobs through {routines} routines", "turns/s", ours,
             f"bare loop of {routines} stages", beside),
    ])


FIGURE = Figure(
    "routines", "Turns per second with 100 routines", Sizes(), Sizes(routines=5, jobs=5), measure
)

if __name__ == "__main__":
    main(FIGURE)
