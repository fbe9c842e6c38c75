"""The kill soak on hosts whose links get worse and better, and are cut, while jobs move."""

from __future__ import annotations

import random
import time

import pytest

from tests.integration.hosting import Host, pair_hosts
from tests.integration.killing import Killing
from tests.integration.test_kills_under_load import LONG, seed
from tests.network.link_model import CLEAN, CUT, Conditions
from tests.network.moving import hold
from tests.network.network import Network

pytestmark = [pytest.mark.xdist_group("network"), pytest.mark.soak]

WEATHER = (
    CLEAN, CLEAN, Conditions(loss=0.05), Conditions(loss=0.3), Conditions(delay=0.05, jitter=0.04),
    Conditions(held_back=0.25, held_for=0.02),
    Conditions(loss=0.1, delay=0.03, jitter=0.02, held_back=0.1, held_for=0.02),
)
LONGEST_CUT = 12.0
"""Seconds: longer than heartbeats and the commit point's patience."""


def test_kills_and_bad_links_together_break_nothing(network: Network, hosts: dict[str, Host]) -> None:
    a, b, c = (host.up() for host in hosts.values())
    for one, other in ((a, b), (b, c), (c, a)):
        pair_hosts(one, other)

    def disturb(choose: random.Random) -> None:
        one, other = choose.sample(network.hosts, 2)
        if choose.random() < 0.7:
            network.set(one, other, choose.choice(WEATHER))
            return
        network.set_one_way(one, other, CUT)
        if choose.random() < 0.5:
            network.set_one_way(other, one, CUT)
        hold(time.monotonic(), choose.uniform(0.0, LONGEST_CUT))
        network.set(one, other, CLEAN)

    report = Killing((a, b, c), seed(), disturb).run(LONG)
    print(report)
    print(", ".join(f"{link}: {counts}" for link, counts in network.counts().items()))
    assert report.hand_offs > 0
