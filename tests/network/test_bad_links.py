"""A job moves there and back over links that lose, delay and reorder, and its truth is exact."""

from __future__ import annotations

import pytest

from tests.integration.hosting import Host, Json, connected
from tests.integration.judging import judge
from tests.network.link_model import Conditions
from tests.network.moving import PATIENCE, finish, move
from tests.network.network import Network
from tests.network.proof import LATENT, LOSSY, SHUFFLED
from tests.waiting import wait_until

pytestmark = pytest.mark.xdist_group("network")

MESSAGES = 40
WORST = Conditions(loss=0.1, delay=0.05, jitter=0.04, held_back=0.2, held_for=0.03)


@pytest.mark.parametrize(
    "conditions", [LOSSY, LATENT, SHUFFLED, WORST],
    ids=["loss-30-percent", "delay-200-ms-with-jitter", "reordering", "all-of-it"],
)
def test_a_job_moves_there_and_back(
    network: Network, pair: tuple[Host, Host], conditions: Conditions
) -> None:
    a, b = pair
    a.submit("load:flaky", "job", n=MESSAGES, gated=True)
    a.wait("job", "work.succeeded >= 2")
    network.set("a", "b", conditions)
    move(a, "job", b, [a, b])
    b.wait("job", "work.succeeded >= 8")
    move(b, "job", a, [a, b])
    finish(a)
    check(judge((a, b), "job"), epoch=3)
    if conditions.loss:
        counts = network.counts()
        assert min(counts["a>b"].lost, counts["b>a"].lost) > 0, counts


def check(final: Json, *, epoch: int) -> None:
    """Check a whole job."""
    assert sorted(final["result"]["got"]) == list(range(MESSAGES))
    assert final["epoch"] == epoch
    work = [e for e in final["history"] if e["routine"] == "work" and e["outcome"] != "interrupted"]
    assert len(work) == MESSAGES + 2 * len(range(0, MESSAGES, 3))


def test_hosts_pair_and_move_over_a_link_that_was_lossy_from_the_start(
    network: Network, hosts: dict[str, Host]
) -> None:
    a, b = hosts["a"].up(), hosts["b"].up()
    network.set("a", "b", LOSSY)
    token = a.do("invite")
    wait_until(lambda: b.run("join", token).returncode == 0, PATIENCE, "the hosts to pair")
    wait_until(lambda: connected(a) and connected(b), PATIENCE, "the hosts to be connected")
    a.submit("load:flaky", "job", n=MESSAGES, gated=True)
    a.wait("job", "work.succeeded >= 2")
    move(a, "job", b, [a, b])
    finish(b)
    check(judge((a, b), "job"), epoch=2)
