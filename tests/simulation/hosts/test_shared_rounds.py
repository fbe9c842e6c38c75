"""Hand-offs share rounds: what hosts say to each other doesn't grow with the number of jobs that move."""

from __future__ import annotations

from typing import Any

from tests.simulation.hosts.flows import FLOWS
from tests.simulation.hosts.network import Weather
from tests.simulation.hosts.plan import Happening, JobPlan, Plan
from tests.simulation.hosts.world import run_seed

JOBS = 40
FRAMES_OF_ONE = 11
"""Of one move: survey, PREFLIGHT, copy with OFFER, COMMIT, MEASURED, the answers, and the cordon."""


def drain(jobs: int, happenings: list[Happening]) -> Plan:
    """Jobs that wait for their retries on one of two hosts, in good weather."""
    item: dict[str, Any] = {
        "value": 1, "fails": 4, "how": "raises", "checkpoints": 0, "seconds": 0.01, "large": False,
    }
    plans = [
        JobPlan(FLOWS[0], [{**item, "value": 1 + 100 * number}], 0, 0.0, f"job{number}")
        for number in range(jobs)
    ]
    return Plan(2, plans, Weather(), happenings, 1.0)


def frames_of_a_drain(jobs: int) -> int:
    """Give how many frames hosts exchange because one is drained; every job arrives and ends as it must."""
    drained = run_seed(1, plan=drain(jobs, [Happening(0.3, "drain", 0, seconds=30.0)]))
    left_alone = run_seed(1, plan=drain(jobs, []))
    assert not drained.violation, drained.told()
    assert drained.counts["moves"] == jobs
    return drained.counts["frames"] - left_alone.counts["frames"]


def test_a_small_job_moves_with_a_frame_each_way_for_each_step() -> None:
    assert frames_of_a_drain(1) <= FRAMES_OF_ONE


def test_many_jobs_move_with_fewer_frames_than_there_are_jobs() -> None:
    assert frames_of_a_drain(JOBS) < JOBS
