"""Links between hosts: HELLO, messages, reconnects."""

from __future__ import annotations

import contextlib
import select
import socket as sockets
import time

import pytest

from sojourn.hosts.peers.links import LinkDown, LinkUp, Received
from sojourn.hosts.peers.tuning import HEARTBEAT_TIMEOUT_MS, QUEUE
from sojourn.runtime.errors import HostUnable
from sojourn.runtime.wire.handoff import CHUNK_BYTES, Chunk, Credit
from sojourn.runtime.wire.peer import RelayDropped
from tests.hosts.peers.meeting import LOOPBACK, Host, both_connected, hosts, pair, poll


def test_hello_reaches_both_sides_and_tells_who_the_other_is() -> None:
    with hosts(Host("a", incarnation=3), Host("b", incarnation=7)) as (a, b):
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))
        ups = [event for event in a.events if isinstance(event, LinkUp)]
        assert [(up.peer, up.hello.host, up.hello.incarnation) for up in ups] == [("b", "b", 7)]
        assert ups[0].hello.address == b.links.address
        hello = b.links.hello_of("a")
        assert hello is not None
        assert hello.store_id == "store of a"


def test_two_connections_of_a_pair_are_told_as_one_link() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))
        assert a.links.send("b", RelayDropped(1))
        assert b.links.send("a", RelayDropped(2))
        poll((a, b), lambda: RelayDropped(2) in a.messages() and RelayDropped(1) in b.messages())
        for host in (a, b):
            assert [type(event) for event in host.events if not isinstance(event, Received)] == [LinkUp]


def test_messages_go_both_ways_over_one_connection_when_only_one_side_can_be_dialled() -> None:
    with hosts(Host("a"), Host("b", listen=None)) as (a, b):
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))
        assert a.links.send("b", RelayDropped(1))
        assert b.links.send("a", RelayDropped(2))
        poll((a, b), lambda: a.messages() and b.messages())
        assert a.events[-1] == Received("b", RelayDropped(2))
        assert b.events[-1] == Received("a", RelayDropped(1))


def test_messages_keep_their_order_and_chunks_their_bytes() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))
        sent = [Chunk("m", n, bytes([n]) * CHUNK_BYTES) for n in range(16)]
        assert all(a.links.send("b", chunk) for chunk in sent)
        poll((a, b), lambda: len(b.messages()) == len(sent))
        assert b.messages() == sent


def test_sending_to_a_host_that_was_never_reached_fails_at_once() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        a.links.add_peer(b.row())
        b.stop()
        assert not a.links.send("b", RelayDropped(1))
        assert not a.links.send("nobody", RelayDropped(1))


@pytest.mark.parametrize("listens", [True, False])
def test_sending_to_a_host_that_does_not_read_fails_and_never_waits(listens: bool) -> None:
    with hosts(Host("a"), Host("b", listen=LOOPBACK if listens else None)) as (a, b):
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))
        message = Credit("m" * 10_000, 0, 0)
        outcomes = (a.links.send("b", message) for _ in range(QUEUE * 4))
        assert not all(outcomes)
        assert a.links.connected("b")  # slow is not gone


@pytest.mark.parametrize("listens", [True, False])
def test_a_closed_connection_is_told_long_before_a_heartbeat_could_tell(listens: bool) -> None:
    with hosts(Host("a"), Host("b", listen=LOOPBACK if listens else None)) as (a, b):
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))
        b.stop()
        stopped = time.monotonic()
        poll((a,), lambda: LinkDown("b") in a.events)
        assert time.monotonic() - stopped < HEARTBEAT_TIMEOUT_MS / 1000
        assert not a.links.connected("b")
        assert not a.links.send("b", RelayDropped(1))


def test_the_end_of_the_only_connection_is_told_on_the_side_that_dialled() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        a.links.add_peer(b.row())
        b.links.add_peer(a.row(address=False))
        poll((a, b), lambda: both_connected(a, b))
        b.stop()
        poll((a,), lambda: a.events[-1] == LinkDown("b"))


def test_a_peer_that_falls_silent_is_told_as_gone_on_both_sides() -> None:
    with hosts(Host("a"), Host("b")) as (a, b), contextlib.ExitStack() as wires:
        address = a.links.address
        assert address is not None
        door, inner = sockets.socket(), sockets.socket()
        for wire in (door, inner):
            wires.enter_context(wire)
        door.bind(("127.0.0.1", 0))
        door.listen()
        row = a.row()
        row.address = f"tcp://127.0.0.1:{door.getsockname()[1]}"
        a.links.add_peer(b.row(address=False))
        b.links.add_peer(row)  # b dials a through the relay
        inner.connect(("127.0.0.1", int(address.rpartition(":")[2])))
        outer = wires.enter_context(door.accept()[0])

        def relayed() -> bool:
            for source, sink in ((outer, inner), (inner, outer)):
                if select.select([source], [], [], 0)[0]:
                    sink.sendall(source.recv(65536))
            return both_connected(a, b)

        poll((a, b), relayed, bare=[outer, inner])
        poll((a, b), lambda: LinkDown("b") in a.events and LinkDown("a") in b.events)


@pytest.mark.parametrize("listens", [True, False])
def test_a_host_that_restarts_is_told_as_down_and_then_up_with_its_new_incarnation(listens: bool) -> None:
    with hosts(Host("a"), Host("b", listen=LOOPBACK if listens else None)) as (a, b):
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))
        a.events.clear()
        b.restart()
        poll((a, b), lambda: [event for event in a.events if isinstance(event, LinkUp)
                              and event.hello.incarnation == b.incarnation])
        poll((a, b), lambda: both_connected(a, b))
        assert a.events[0] == LinkDown("b")
        a.events.clear()
        assert b.links.send("a", RelayDropped(5))
        poll((a, b), lambda: Received("b", RelayDropped(5)) in a.events)


def test_what_a_dead_connection_still_held_is_not_taken_for_a_message_of_the_new_one() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        a.links.add_peer(b.row())
        b.links.add_peer(a.row(address=False))
        poll((a, b), lambda: both_connected(a, b))
        b.restart()
        a.links.send("b", RelayDropped(1))  # before a noticed anything: it waits in the socket
        poll((a, b), lambda: both_connected(a, b))
        poll((a, b), lambda: a.links.send("b", RelayDropped(2)) and RelayDropped(2) in b.messages())
        first = next(event for event in b.events)
        assert isinstance(first, LinkUp)


def test_a_port_that_is_taken_is_refused_with_a_sentence() -> None:
    sentence = "another program has this port; choose another with --listen"
    with hosts(Host("a")) as (a,), pytest.raises(HostUnable, match=sentence):
        Host("b", listen=a.links.address)


def test_an_address_that_this_machine_does_not_have_is_refused_with_a_sentence() -> None:
    with pytest.raises(HostUnable, match="no such address"):
        Host("b", listen="tcp://203.0.113.7:0")


def test_a_host_that_listens_everywhere_gives_an_address_that_others_can_use() -> None:
    with hosts(Host("a", listen="tcp://*:0"), Host("b", listen="tcp://localhost:*")) as (a, b):
        for host in (a, b):
            assert host.links.address is not None
            assert not host.links.address.endswith(":0")
            assert "*" not in host.links.address
            assert "0.0.0.0" not in host.links.address
        b.links.add_peer(a.row(address=False))
        a.links.add_peer(b.row())
        poll((a, b), lambda: both_connected(a, b))


def test_a_peer_that_moved_to_another_address_is_dialled_there() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        old = b.row()
        b.stop()
        b.start()
        assert old.address != b.links.address
        a.links.add_peer(old)
        b.links.add_peer(a.row(address=False))
        a.links.add_peer(b.row())
        poll((a, b), lambda: both_connected(a, b))


def test_an_address_that_is_none_is_logged_and_harms_nothing() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        row = b.row()
        row.address = "ipc:///tmp/anything"
        a.links.add_peer(row)
        b.links.add_peer(a.row())
        assert len(a.told("undiallable")) == 1
        poll((a, b), lambda: both_connected(a, b))  # b dials
