"""Fan-out and fan-in: one message becomes a hundred, handled in parallel, and one again when all are done.

The limit is a bare loop that takes as many turns in one stage of as many processes: it knows no fan-in.
"""

from __future__ import annotations

import os

import msgspec

from benchmarks.bare.loop import BareLoop
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import one_host, take_jobs

ENDS = 2
"""Turns of a job beside the wide ones: the first and the last."""


class Sizes(msgspec.Struct, frozen=True):
    jobs: int = 100
    wide: int = 100


def measure(run: Run[Sizes]) -> Measured:
    jobs, wide = run.sizes.jobs, run.sizes.wide
    loop = BareLoop(run.new_folder("bare"), 1, processes=len(os.sched_getaffinity(0)))
    try:
        with one_host(run.folder) as host, host.client() as client:
            take_jobs(client, "fan:flow", [{"n": 10}], 10 + ENDS)

            def speed(count: int) -> float:
                turns = count * (wide + ENDS)
                return turns / take_jobs(client, "fan:flow", [{"n": wide}] * count, wide + ENDS)

            def bare(number: int, count: int) -> float:
                turns = count * (wide + ENDS)
                return turns / loop.run(number, turns)

            run.say(f"{jobs} jobs at once")
            many = run.alternately(lambda _: speed(jobs), lambda n: bare(n, jobs))
            run.say("one job alone")
            alone = run.alternately(lambda _: speed(1), lambda n: bare(n + run.runs, 1))
    finally:
        loop.close()
    limit = "bare loop, one stage"
    return Measured([
        Line("many", f"{jobs} jobs, each 1 → {wide} → 1", "turns/s", many[0], limit, many[1]),
        Line("alone", f"one job 1 → {wide} → 1", "turns/s", alone[0], limit, alone[1]),
    ])


FIGURE = Figure(
    "fanout", "Fan-out 1 → 100 → 1 through a parallel routine and when_idle",
    Sizes(), Sizes(jobs=3, wide=10), measure,
)

if __name__ == "__main__":
    main(FIGURE)
