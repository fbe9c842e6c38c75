"""How long a job of three messages takes beside one of a million, against on an idle host.

Both are jobs of one flow, so that they share its processes and its mailboxes' bounds.
"""

from __future__ import annotations

import time

import msgspec

from benchmarks.suite.alone import main
from benchmarks.suite.figure import Curve, Figure, Line, Measured, Run
from benchmarks.suite.hosts import check, one_host
from benchmarks.suite.verdicts import distribution, percentile
from sojourn import Client

FLOW = "fair:flow"
TURNS = 3
PATIENCE = 600.0


class Sizes(msgspec.Struct, frozen=True):
    jobs: int = 100
    messages: int = 1_000_000


def one_job(client: Client) -> float:
    """Give the milliseconds of one small job."""
    begun = time.perf_counter()
    final = client.wait(client.submit(FLOW, n=1))
    took = time.perf_counter() - begun
    check(final, TURNS)
    return took * 1000


def measure(run: Run[Sizes]) -> Measured:
    sizes = run.sizes
    idle: list[list[float]] = []
    beside: list[list[float]] = []
    with one_host(run.folder) as host, host.client() as client:
        for _ in range(10):
            one_job(client)
        run.say(f"{sizes.jobs} small jobs, one after another")
        idle.extend([one_job(client) for _ in range(sizes.jobs)] for _ in run.repetitions())
        run.say(f"the same beside a job of {sizes.messages:,} messages")
        huge = client.submit(FLOW, n=sizes.messages)
        client.wait(huge, until="emit.succeeded >= 1", timeout=PATIENCE)
        beside.extend([one_job(client) for _ in range(sizes.jobs)] for _ in idle)
        over = client.show(huge, history=1).status
    lines = [
        Line(
            name, f"submit to end of a job of three messages beside one of {sizes.messages:,}, {called}",
            "ms", [percentile(taken, share) for taken in beside],
            "on an idle host", [percentile(taken, share) for taken in idle],
        )
        for name, called, share in (("p50", "median", 0.5), ("p99", "99 of 100", 0.99))
    ]
    return Measured(lines, [
        Curve("A small job beside a huge one", "ms", "share of the jobs", label,
              distribution([taken for one in found for taken in one]))
        for label, found in (("beside a huge one", beside), ("on an idle host", idle))
    ], notes={"the huge job at the end": over})


FIGURE = Figure(
    "fairness", "Latency of a small job beside a huge one", Sizes(), Sizes(jobs=5, messages=2_000), measure
)

if __name__ == "__main__":
    main(FIGURE)
