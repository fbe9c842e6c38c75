"""Drains there and back under load, while ``kill -9`` meets either host at moments that a seed draws."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sojourn.runtime.errors import HandoffFailed, NoSupervisor
from tests.integration.hosting import Host
from tests.integration.judging import judge
from tests.integration.killing import KINDS

SECONDS = 12.0
LONGEST_WAIT = 0.4
"""Seconds after the beginning of a drain until somebody dies, at most."""


def drain(host: Host, to: Host, deadline: float | None, grace: float | None) -> str:
    """Drain a host; tell in a word how it ended for whoever asked."""
    try:
        with host.client() as client:
            client.drain(to.name, deadline=deadline, grace=grace)
    except (HandoffFailed, NoSupervisor) as error:
        return type(error).__name__
    return "done"


@pytest.mark.parametrize("seed", [11, pytest.param(12, marks=pytest.mark.soak)])
def test_whoever_dies_during_a_drain_each_job_ends_once_on_one_host(
    pair: tuple[Host, Host], seed: int
) -> None:
    choose = random.Random(seed)
    kinds = {f"{kind.flow.partition(':')[2]}-{n}": kind for kind in KINDS for n in range(2)}
    for job, kind in kinds.items():
        choose.choice(pair).submit(kind.flow, job, n=kind.n)
    ended: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            source, target = choose.sample(pair, 2)
            target.do("uncordon")
            if choose.random() < 0.5:
                source.do("uncordon")
            drains = [pool.submit(drain, source, target, choose.choice((None, 3.0)), 0.1)]
            if choose.random() < 0.2:
                drains.append(pool.submit(drain, target, source, None, None))
            # The moment at which somebody dies is what this run is about: it is drawn, not waited for.
            time.sleep(choose.uniform(0.0, LONGEST_WAIT))
            victim = choose.choice((None, source, target))
            if victim is not None:
                victim.kill()
                victim.up()
            ended.extend(asked.result(90.0) for asked in drains)
    assert "done" in ended, ended
    for job, kind in kinds.items():
        final = judge(pair, job)
        got = final["result"]["got"]
        assert (got if kind.in_order else sorted(got)) == list(range(kind.n)), f"{job} collected {got}"
        assert final["result"]["shared"] == kind.shared
