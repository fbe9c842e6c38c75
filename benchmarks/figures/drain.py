"""Jobs per second that leave a host which is drained: a thousand small ones.

By ``sojourn drain --to HOST``. What a command takes to start isn't part of it: what ``sojourn
peers`` takes just before is taken off. The limit is one hand-off after another at the least that one costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import two_hosts
from benchmarks.suite.moves import Floor, floor
from tests.integration.hosting import Host
from tests.waiting import wait_until

PATIENCE = 600.0


class Sizes(msgspec.Struct, frozen=True):
    jobs: int = 1_000


def measure(run: Run[Sizes]) -> Measured:
    jobs = run.sizes.jobs
    least = Floor(run.folder)
    ours: list[float] = []
    beside: list[float] = []
    try:
        with two_hosts(run.folder) as pair:
            ids = prepare(pair[0], jobs)
            run.say(f"{jobs:,} jobs, {run.runs} times")
            for number in run.repetitions():
                here, there = pair[1 - number % 2], pair[number % 2]
                beside.append(1000 / floor(least.round_trip(), least.fsync()))
                there.run("uncordon")  # where it was drained just before, it takes jobs again
                ours.append(jobs / drain(here, there))
                check(there, ids)
    finally:
        least.close()
    return Measured(
        [Line("jobs", f"{jobs:,} small jobs leave a host, by drain", "jobs/s", ours,
              "one after another at the least", beside)],
    )


def prepare(host: Host, jobs: int) -> list[str]:
    """Make jobs that wait for a retry."""
    with host.client() as client:
        ids = client.submit_many("waiting:small", [{"i": 0}] * jobs)
        for job in ids:
            client.wait(job, until="wait.retry_count >= 1", timeout=PATIENCE)
    return ids


def drain(here: Host, there: Host) -> float:
    """Drain a host by the command line; give the seconds."""
    starting = seconds(lambda: here.do("peers"))
    return seconds(lambda: here.do("drain", "--to", there.name, timeout=PATIENCE)) - starting


def seconds(work: Callable[[], object]) -> float:
    """Give the seconds of something."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def check(host: Host, ids: list[str]) -> None:
    """See that a host owns all jobs."""

    def owned() -> bool:
        with host.client() as client:
            here = {job["job_id"] for job in client.jobs() if job["status"] == "running"}
        return here >= set(ids)

    wait_until(owned, 60.0, "the other host to own all jobs")


FIGURE = Figure("drain", "Moving a thousand small jobs", Sizes(), Sizes(jobs=6), measure)

if __name__ == "__main__":
    main(FIGURE)
