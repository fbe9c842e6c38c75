"""Downtime of a job with 100 MB of large values, which are copied while it runs.

Each repetition moves a new job with values of its own, so that nothing is over there already. The limit is
that of a small job: 1.5 round trips and three fsyncs.
"""

from __future__ import annotations

import msgspec

from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.holding import BLOB, finish, hold
from benchmarks.suite.hosts import two_hosts
from benchmarks.suite.moves import FSYNCS, ROUND_TRIPS, Floor, downtime, floor


class Sizes(msgspec.Struct, frozen=True):
    megabytes: int = 100


def measure(run: Run[Sizes]) -> Measured:
    least = Floor(run.folder)
    ours: list[float] = []
    bounds: list[float] = []
    try:
        with two_hosts(run.folder) as pair, pair[0].client() as one, pair[1].client() as other:
            run.say(f"{run.runs} jobs with {run.sizes.megabytes} MB each")
            for _ in run.repetitions():
                job = hold(one, run.sizes.megabytes)
                bounds.append(floor(least.round_trip(), least.fsync()))
                ours.append(downtime(one.migrate(job, "b")[0]))
                finish(other, job)
    finally:
        least.close()
    what = f"downtime with {run.sizes.megabytes} MB in values of {BLOB / 1e6:g} MB"
    beside = f"{ROUND_TRIPS:g} round trips + {FSYNCS} fsyncs"
    return Measured([Line("p50", what, "ms", ours, beside, bounds)])


FIGURE = Figure(
    "handoff_blobs", "Hand-off downtime with 100 MB of blobs", Sizes(), Sizes(megabytes=2), measure
)

if __name__ == "__main__":
    main(FIGURE)
