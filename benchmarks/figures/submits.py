"""Jobs per second that one Python client submits, each acknowledged once it is durable.

The routine behind them is stuck in its first turn, so that nothing but submitting goes on. The limit is
a loop that inserts the rows of a job.
"""

from __future__ import annotations

import time

import msgspec

from benchmarks.bare.inserts import BareInserts
from benchmarks.flows.held import BEGUN
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import one_host
from tests.waiting import wait_until

FLOW = "held:flow"
INPUT = b"\x81\xa4data\xc4\x08" + bytes(8)
"""Encoded like the jobs' own."""


class Sizes(msgspec.Struct, frozen=True):
    jobs: int = 10_000
    batch: int = 1_000
    singly: int = 500


def measure(run: Run[Sizes]) -> Measured:
    sizes = run.sizes
    bare = BareInserts(run.new_folder("bare"))
    begun = run.folder / "begun"
    try:
        with one_host(run.folder, **{BEGUN: str(begun)}) as host, host.client() as client:
            client.submit(FLOW, data=bytes(8))
            wait_until(begun.exists, 30.0, "the first turn")

            def submit(count: int, batch: int) -> float:
                started = time.perf_counter()
                for done in range(0, count, batch):
                    inputs = [{"data": bytes(8)}] * min(batch, count - done)
                    client.submit_many(FLOW, inputs)
                return count / (time.perf_counter() - started)

            run.say(f"{sizes.jobs:,} jobs in batches of {sizes.batch:,}")
            batched = run.alternately(
                lambda _: submit(sizes.jobs, sizes.batch),
                lambda _: sizes.jobs / bare.insert(sizes.jobs, sizes.batch, INPUT),
            )
            run.say(f"{sizes.singly:,} jobs one by one")
            singly = run.alternately(
                lambda _: submit(sizes.singly, 1),
                lambda _: sizes.singly / bare.insert(sizes.singly, 1, INPUT),
            )
    finally:
        bare.close()
    return Measured([
        Line("batched", f"submits, {sizes.batch:,} in a batch", "jobs/s", batched[0],
             "bare inserts", batched[1]),
        Line("singly", "submits one by one", "jobs/s", singly[0], "bare inserts", singly[1]),
    ])


FIGURE = Figure(
    "submits", "Submitting from one client", Sizes(), Sizes(jobs=100, batch=50, singly=10), measure
)

if __name__ == "__main__":
    main(FIGURE)
