"""Three hosts, of which two can't reach each other: jobs go round by the third, and are found again."""

from __future__ import annotations

import pytest

from tests.integration.hosting import Host, connected, pair_hosts
from tests.integration.judging import judge, the_owner
from tests.network.link_model import CLEAN, Conditions
from tests.network.moving import PATIENCE, finish, move, noticed
from tests.network.network import Network
from tests.waiting import wait_until

pytestmark = pytest.mark.xdist_group("network")

MESSAGES = 40
POOR = Conditions(loss=0.1, delay=0.02, jitter=0.02)


@pytest.fixture
def trio(hosts: dict[str, Host]) -> tuple[Host, Host, Host]:
    """Three hosts that are up and paired with each other."""
    a, b, c = (host.up() for host in hosts.values())
    for one, other in ((a, b), (b, c), (c, a)):
        pair_hosts(one, other)
    wait_until(lambda: all(map(connected, (a, b, c))), PATIENCE, "all hosts to be connected")
    return a, b, c


def test_a_job_goes_round_by_a_third_host_where_two_cannot_reach_each_other(
    network: Network, trio: tuple[Host, Host, Host]
) -> None:
    a, b, c = trio
    logged = len(a.log())
    network.set_all(POOR)
    network.cut("a", "b")
    noticed(a, b, logged)
    a.submit("load:flaky", "job", n=MESSAGES, gated=True)
    a.wait("job", "work.succeeded >= 2")
    refused = a.run("migrate", "job", "--to", "b")
    assert refused.returncode == 7, refused.stderr
    move(a, "job", c, [*trio])
    move(c, "job", b, [*trio])
    finish(a)  # asked of the first host, which relays it by the one that it can reach
    final = judge(trio, "job")
    assert (final["host"], final["epoch"]) == ("b", 3)
    assert sorted(final["result"]["got"]) == list(range(MESSAGES))
    assert a.wait("job")["status"] == "completed"


def test_a_ring_of_moves_over_poor_links(network: Network, trio: tuple[Host, Host, Host]) -> None:
    a, b, c = trio
    a.submit("load:in_order", "job", n=MESSAGES, gated=True)
    a.wait("job", "work.succeeded >= 2")
    network.set_all(POOR)
    rounds = 3
    for _ in range(rounds):
        for source, target in ((a, b), (b, c), (c, a)):
            move(source, "job", target, [*trio])
    network.set_all(CLEAN)
    finish(a)
    final = judge(trio, "job")
    assert the_owner(trio, "job") is a
    assert final["epoch"] == 1 + 3 * rounds
    assert final["result"]["got"] == list(range(MESSAGES))
