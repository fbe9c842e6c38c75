"""How fast a gigabyte of large values moves with its job, and a bare CURVE stream of the same run.

The clock runs over the whole ``migrate``: copying, checking, syncing and the hand-over. The stream only
carries bytes between two processes, into no file.
"""

from __future__ import annotations

import time

import msgspec

from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.holding import BLOB, finish, hold
from benchmarks.suite.hosts import two_hosts
from benchmarks.suite.moves import Floor


class Sizes(msgspec.Struct, frozen=True):
    megabytes: int = 1_000


def measure(run: Run[Sizes]) -> Measured:
    size = run.sizes.megabytes * BLOB
    least = Floor(run.folder)
    ours: list[float] = []
    beside: list[float] = []
    try:
        with two_hosts(run.folder) as pair, pair[0].client() as one, pair[1].client() as other:
            for number in run.repetitions():
                run.say(f"job {number} with {run.sizes.megabytes} MB")
                job = hold(one, run.sizes.megabytes)
                beside.append(size / 1e6 / least.stream(size))
                begun = time.perf_counter()
                one.migrate(job, "b")
                ours.append(size / 1e6 / (time.perf_counter() - begun))
                finish(other, job)
    finally:
        least.close()
    what = f"moving a job with {run.sizes.megabytes:,} MB of blobs"
    return Measured([Line("blobs", what, "MB/s", ours, "bare CURVE stream", beside)])


FIGURE = Figure("stream", "Moving a gigabyte of blobs", Sizes(), Sizes(megabytes=2), measure)

if __name__ == "__main__":
    main(FIGURE)
