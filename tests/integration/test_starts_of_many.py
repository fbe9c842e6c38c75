"""A host that is killed over and over while it takes up its jobs: those it has run turns meanwhile."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.integration.hosting import Host, check_effects, read_effects
from tests.waiting import wait_until

JOBS = 40_000
"""So many that taking them up lasts longer than importing their code."""

DEATHS = 6
ATTEMPTS = [
    ("first", 1, "failed"), ("first", 2, "failed"), ("first", 3, "succeeded"), ("last", 1, "succeeded"),
]


def has_more(effects: Path, known: int) -> bool:
    return len(read_effects(effects)) > known + 5


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_deaths_while_jobs_are_taken_up_lose_and_double_nothing(host: Host, effects: Path) -> None:
    with host.client() as client:
        jobs = client.submit_many("pieces:flow", [{"n": n} for n in range(JOBS)])
    host.kill()
    early = 0
    for _ in range(DEATHS):
        known = len(read_effects(effects))
        host.launch()
        wait_until(partial(has_more, effects, known), 60.0, what="turns while jobs are taken up")
        early += "ready" not in host.output
        host.kill()
    assert early, "no death came before all jobs were there"
    host.up()
    with host.client() as client:
        finals = client.wait_all(jobs, timeout=500)
    assert [final.result for final in finals] == [{"n": n} for n in range(JOBS)]
    for final in finals:
        ended = [entry for entry in final.history if entry["outcome"] != "interrupted"]
        assert sorted((e["routine"], e["attempt"], e["outcome"]) for e in ended) == ATTEMPTS
    check_effects(read_effects(effects), *(final.serialize() for final in finals))
