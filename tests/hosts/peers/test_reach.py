"""When connections that come and go are told as links that are up or down."""

from __future__ import annotations

import msgspec
import pytest

from sojourn.hosts.peers.reach import LinkDown, LinkUp, Reach
from sojourn.runtime.wire.peer import Hello

HELLO = Hello("b", "store", 4, 1, 1)


@pytest.fixture
def reach() -> Reach:
    """One that told of host b already."""
    fresh = Reach()
    assert fresh.reached("b", HELLO) == [LinkUp("b", HELLO)]
    return fresh


def test_a_second_connection_to_the_same_host_is_no_news(reach: Reach) -> None:
    assert reach.reached("b", HELLO) == []


def test_a_link_is_down_when_its_last_connection_ended_and_told_once(reach: Reach) -> None:
    assert reach.lost("b", connected=False) == [LinkDown("b")]
    assert reach.lost("b", connected=False) == []
    assert reach.reached("b", HELLO) == [LinkUp("b", HELLO)]


def test_one_of_two_connections_that_broke_is_told_when_it_is_back_since_messages_were_lost(
    reach: Reach,
) -> None:
    assert reach.lost("b", connected=True) == []
    assert reach.reached("b", HELLO) == [LinkUp("b", HELLO)]
    assert reach.reached("b", HELLO) == []


@pytest.mark.parametrize("change", [{"incarnation": 5}, {"incarnation": 3}, {"store_id": "other"}], ids=str)
def test_another_run_of_a_host_is_told_as_down_and_up(reach: Reach, change: dict[str, object]) -> None:
    other = msgspec.structs.replace(HELLO, **change)
    assert reach.reached("b", other) == [LinkDown("b"), LinkUp("b", other)]
    assert reach.hello_of("b") == other


def test_hosts_are_told_apart(reach: Reach) -> None:
    other = msgspec.structs.replace(HELLO, host="c")
    assert reach.reached("c", other) == [LinkUp("c", other)]
    assert reach.lost("c", connected=False) == [LinkDown("c")]
    assert reach.lost("b", connected=False) == [LinkDown("b")]
