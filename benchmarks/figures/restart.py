"""How long a killed supervisor takes to its first turn again, with a hundred thousand unfinished jobs.

From the start of ``sojourn up`` to the first line of a handler. The limit is an interpreter that starts and
reads as many jobs with their messages from SQLite.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from benchmarks.bare import reading
from benchmarks.bare.inserts import BareInserts
from benchmarks.flows.held import BEGUN
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import one_host
from tests.integration.hosting import Host
from tests.waiting import wait_until

PATIENCE = 600.0
BATCH = 5_000
INPUT = b"\x80"


class Sizes(msgspec.Struct, frozen=True):
    jobs: int = 100_000


def measure(run: Run[Sizes]) -> Measured:
    jobs = run.sizes.jobs
    begun = run.folder / "begun"
    bare = BareInserts(run.new_folder("bare"))
    bare.insert(jobs, BATCH, INPUT)
    bare.close()
    with one_host(run.folder, **{BEGUN: str(begun)}) as host:
        run.say(f"submitting {jobs:,} jobs")
        with host.client() as client:
            for done in range(0, jobs, BATCH):
                client.submit_many("held:flow", [{"data": b""}] * min(BATCH, jobs - done))
        wait_until(begun.exists, PATIENCE, "the first turn")
        run.say(f"{run.runs} restarts")
        ours, beside = run.alternately(
            lambda _: restart(host, begun),
            lambda _: reading.seconds(run.folder / "bare" / "inserts.db"),
        )
    what = f"killed with {jobs:,} unfinished jobs: start to first turn"
    return Measured([Line("first_turn", what, "s", ours, "bare read of as many", beside)])


def restart(host: Host, begun: Path) -> float:
    """Kill a host and start it; give the seconds until it begins a turn."""
    host.kill()
    begun.unlink()
    started = time.time()
    host.launch(**{BEGUN: str(begun)})
    wait_until(lambda: begun.exists() and begun.read_text().endswith("\n"), PATIENCE, "the first turn")
    host.ready()
    return float(begun.read_text().split()[0]) - started


FIGURE = Figure("restart", "Restart with 100,000 unfinished jobs", Sizes(), Sizes(jobs=20), measure)

if __name__ == "__main__":
    main(FIGURE)
