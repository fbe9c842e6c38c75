"""Hand-offs share rounds: what a host commits for many of them doesn't grow with their number."""

from __future__ import annotations

from functools import partial

from sojourn.hosts.store.mark import read_mark
from tests.integration.hosting import Host
from tests.integration.judging import the_owner
from tests.waiting import wait_until

JOBS = 60


def commits(host: Host) -> int:
    """Give how many commits the store of a host has made."""
    return read_mark(host.home / "store.db.commits")


def settled(owner: Host, *jobs: str) -> None:
    """Wait until the last hand-off of jobs is closed at its target, which comes last of all."""

    def closed(job: str) -> bool:
        return owner.show(job)["handoffs"][-1]["downtime_ms"] is not None

    for job in jobs:
        wait_until(partial(closed, job), what=f"the figures of {job}")


def test_a_small_job_takes_three_commits_of_its_source_and_four_of_its_target(
    pair: tuple[Host, Host],
) -> None:
    a, b = pair
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    a.migrate("job", b)
    b.migrate("job", a)
    settled(a, "job")
    before = commits(a), commits(b)
    a.migrate("job", b)
    settled(b, "job")
    here, there = commits(a) - before[0], commits(b) - before[1]
    assert here <= 3, "PRECOPY, RELEASED, GONE"
    assert there <= 4, "STAGING, PREPARED with all that came, OWNED with STARTED, the end of its record"


def test_many_jobs_that_leave_a_host_share_their_commits(pair: tuple[Host, Host]) -> None:
    a, b = pair
    jobs = [f"job{number}" for number in range(JOBS)]
    for job in jobs:
        a.submit("points:asking", job)
    for job in jobs:
        a.wait(job, "status == 'paused'")
    before = commits(a), commits(b)
    a.do("drain", "--to", "b", timeout=120)
    settled(b, *jobs)
    here, there = commits(a) - before[0], commits(b) - before[1]
    assert all(the_owner([a, b], job) is b for job in jobs)
    assert here < JOBS
    assert there < JOBS
