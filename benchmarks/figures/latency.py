"""How long one job of three routines takes on an idle host, from submit to its end seen by the client.

The limit is the bare loop with a window of 1: one message through three stages, each turn committed before
the next begins; it has no client.
"""

from __future__ import annotations

import time

import msgspec

from benchmarks.bare.loop import BareLoop
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Curve, Figure, Line, Measured, Run
from benchmarks.suite.hosts import check, one_host
from benchmarks.suite.verdicts import distribution, percentile
from sojourn import Client

STAGES = 3


class Sizes(msgspec.Struct, frozen=True):
    jobs: int = 200


def one_job(client: Client) -> float:
    """Give the milliseconds of one job."""
    begun = time.perf_counter()
    final = client.wait(client.submit("linear:plain", i=0))
    took = time.perf_counter() - begun
    check(final, STAGES)
    return took * 1000


def measure(run: Run[Sizes]) -> Measured:
    jobs = run.sizes.jobs
    loop = BareLoop(run.new_folder("bare"), STAGES, window=1)
    numbers = iter(range(1_000_000))
    ours: list[list[float]] = []
    bare: list[list[float]] = []
    try:
        with one_host(run.folder) as host, host.client() as client:
            for _ in range(10):
                one_job(client)
                loop.run(next(numbers), 1)
            run.say(f"{jobs} jobs, one after another")
            for _ in run.repetitions():
                bare.append([loop.run(next(numbers), 1) * 1000 for _ in range(jobs)])
                ours.append([one_job(client) for _ in range(jobs)])
    finally:
        loop.close()
    lines = [
        Line(
            name, f"submit to end of one job, {called}", "ms",
            [percentile(taken, share) for taken in ours],
            "bare loop, window 1", [percentile(taken, share) for taken in bare],
        )
        for name, called, share in (("p50", "median", 0.5), ("p99", "99 of 100", 0.99))
    ]
    return Measured(lines, [
        Curve("One job on an idle host", "ms", "share of the jobs", label,
              distribution([taken for one in found for taken in one]))
        for label, found in (("Sojourn", ours), ("bare loop", bare))
    ])


FIGURE = Figure("latency", "Latency of one job of three routines", Sizes(), Sizes(jobs=5), measure)

if __name__ == "__main__":
    main(FIGURE)
