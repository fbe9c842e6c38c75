"""Downtime of a small job that is moved there and back, by its source's clock, and what it must cost.

The limit is 1.5 round trips under CURVE over loopback and three fsyncs of the same disk, measured beside
each repetition. The job waits for a retry; beside it the same for one that takes turns all the time.
"""

from __future__ import annotations

import msgspec

from benchmarks.flows.spinning import FOR_EVER
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Curve, Figure, Line, Measured, Run
from benchmarks.suite.hosts import two_hosts
from benchmarks.suite.moves import FSYNCS, ROUND_TRIPS, Floor, floor, there_and_back
from benchmarks.suite.verdicts import distribution, percentile

LEAST = f"{ROUND_TRIPS:g} round trips + {FSYNCS} fsyncs"


class Sizes(msgspec.Struct, frozen=True):
    moves: int = 100
    """Of the job that waits, in a repetition; an even number."""

    busy_moves: int = 20
    """Of the one that takes turns."""


def measure(run: Run[Sizes]) -> Measured:
    moves = run.sizes.moves
    least = Floor(run.folder)
    waiting: list[list[float]] = []
    busy: list[list[float]] = []
    trips: list[float] = []
    syncs: list[float] = []
    try:
        with two_hosts(run.folder) as pair, pair[0].client() as one, pair[1].client() as other:
            one.submit("waiting:small", job_id="waiting", i=1)
            one.wait("waiting", until="wait.retry_count >= 1", timeout=30)
            one.submit("spinning:ring_0", job_id="busy", i=FOR_EVER)
            for job in ("waiting", "busy"):
                there_and_back(pair, (one, other), job, 2)
            run.say(f"{moves} moves of one job, {run.sizes.busy_moves} of another")
            for _ in run.repetitions():
                trips.append(least.round_trip())
                syncs.append(least.fsync())
                waiting.append(there_and_back(pair, (one, other), "waiting", moves))
                busy.append(there_and_back(pair, (one, other), "busy", run.sizes.busy_moves))
    finally:
        least.close()
    bounds = [floor(trip, sync) for trip, sync in zip(trips, syncs, strict=True)]

    def line(name: str, what: str, found: list[list[float]], share: float) -> Line:
        return Line(name, what, "ms", [percentile(one, share) for one in found], LEAST, bounds)

    return Measured(
        [
            line("p50", "downtime of a small job, median", waiting, 0.5),
            line("p99", "downtime of a small job, 99 of 100", waiting, 0.99),
            line("busy_p50", "the same of a job that takes turns, median", busy, 0.5),
            line("busy_p99", "the same of a job that takes turns, 99 of 100", busy, 0.99),
            Line("round_trip", "one round trip, CURVE over loopback", "ms", trips),
            Line("fsync", "one fsync", "ms", syncs),
        ],
        [
            Curve("Downtime of a small job", "ms", "share of the moves", label,
                  distribution([move for one in found for move in one]))
            for label, found in (("waiting", waiting), ("taking turns", busy), ("least", [bounds]))
        ],
    )


FIGURE = Figure(
    "handoff", "Hand-off downtime of a small job", Sizes(), Sizes(moves=2, busy_moves=2), measure
)

if __name__ == "__main__":
    main(FIGURE)
