"""A job moves there and back over links that lose, delay and reorder, and its truth is exact."""

from __future__ import annotations

import pytest

from sojourn.runtime.errors import HandoffAborted, HandoffInDoubt
from tests.integration.hosting import Host, Json, connected
from tests.integration.judging import judge, wait_for_owner
from tests.network.link_model import Conditions
from tests.network.network import Network
from tests.network.proof import LATENT, LOSSY, SHUFFLED
from tests.waiting import wait_until

pytestmark = pytest.mark.xdist_group("network")

MESSAGES = 40
PATIENCE = 60.0
"""Seconds that something may take over a link that loses a third of its packets."""

WORST = Conditions(loss=0.1, delay=0.05, jitter=0.04, held_back=0.2, held_for=0.03)


def move(host: Host, job: str, to: Host, hosts: list[Host]) -> None:
    """Move a job as a person would: again where the link was down, until it is there."""
    def once() -> bool:
        try:
            host.migrate(job, to)
        except HandoffAborted:
            return False  # safe at its source: the link was down for a moment
        except HandoffInDoubt:
            return wait_for_owner(hosts, job, PATIENCE) is to
        return True

    wait_until(once, PATIENCE, f"job {job} to move to host {to.name}")


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


def finish(owner: Host) -> None:
    """Let the job end."""
    with owner.client() as client:
        client.resume("job", end=True)


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
