"""What a connection between hosts may hold: frames of a message, bytes under way, connections, faults."""

from __future__ import annotations

import itertools
import socket as sockets
from functools import partial

import pytest
import zmq
from zmq.utils import z85

from sojourn.hosts.peers import dialling, listening, standing
from sojourn.hosts.peers.limits import LINES, REPEAT_AFTER, SENDERS, LogLines, Refusals
from sojourn.hosts.peers.links import LinkDown, LinkUp, Received
from sojourn.hosts.peers.standing import Standings
from sojourn.hosts.peers.zap import DOMAIN, ENDPOINT, Gatekeeper
from sojourn.hosts.reception import borrowed, cut
from sojourn.runtime.job import PeerRow
from sojourn.runtime.roles import Role
from sojourn.runtime.wire.peer import Hello, Rejected, RelayAnswer, RelayDropped, decode, encode
from tests.hosts.peers.meeting import (
    Context,
    Host,
    both_connected,
    fresh_keys,
    hosts,
    pair,
    poll,
    raw_dealer,
)

HELLO = Hello("b", "store of b", 1, 1, 1)
MEGABYTE = 1024 * 1024
ENDLESS = [bytes(MEGABYTE)] * 200


@pytest.fixture
def little_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let connections owe 8 MiB and look often, so that a test needs to send no gigabytes."""
    monkeypatch.setattr(standing, "MOST_OWED", 8 * MEGABYTE)
    for module in (listening, dialling):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.005)


@pytest.mark.usefixtures("little_owed")
def test_a_message_that_comes_to_no_end_costs_its_connection_and_no_other() -> None:
    with hosts(Host("a"), Host("b", listen=None), Host("c")) as (a, b, c):
        a.links.add_peer(b.row())
        pair(a, c)
        with raw_dealer(a, b.keys) as socket:
            socket.send(encode(HELLO))
            poll((a, c), lambda: a.links.connected("b") and both_connected(a, c))
            socket.send_multipart(ENDLESS)  # ZeroMQ shows it when all of it is there
            poll((a, c), lambda: LinkDown("b") in a.events)
            assert a.told("endless message") == ["b"]
        assert c.links.send("a", RelayDropped(1))
        poll((a, c), lambda: Received("c", RelayDropped(1)) in a.events)


@pytest.mark.usefixtures("little_owed")
def test_a_dialled_host_that_sends_without_end_is_hung_up_on() -> None:
    keys = fresh_keys()
    context: Context = zmq.Context()
    server = context.socket(zmq.ROUTER)
    try:
        server.set(zmq.CURVE_SERVER, 1)
        server.set(zmq.CURVE_SECRETKEY, keys.secret.encode())
        port = server.bind_to_random_port("tcp://127.0.0.1")
        with hosts(Host("a"), Host("c")) as (a, c):
            pair(a, c)
            a.links.add_peer(PeerRow("b", keys.public, f"tcp://127.0.0.1:{port}", "store of b", 0.0))
            poll((a, c), lambda: server.poll(0), bare=[server])
            route = server.recv_multipart()[0]
            server.send_multipart([route, encode(HELLO)])
            poll((a, c), lambda: LinkUp("b", HELLO) in a.events and both_connected(a, c))
            server.send_multipart([route, *ENDLESS])
            poll((a, c), lambda: LinkDown("b") in a.events)
            assert a.told("endless message") == ["b"]
            assert c.links.send("a", RelayDropped(1))
            poll((a, c), lambda: Received("c", RelayDropped(1)) in a.events)
    finally:
        context.destroy(linger=0)


@pytest.mark.usefixtures("little_owed")
def test_who_reads_no_answers_is_cut_before_they_fill_the_memory() -> None:
    with hosts(Host("a"), Host("b", listen=None), Host("c")) as (a, b, c):
        a.links.add_peer(b.row())
        pair(a, c)
        with raw_dealer(a, b.keys, unread=1) as socket:
            socket.send(encode(HELLO))
            poll((a, c), lambda: a.links.connected("b") and both_connected(a, c))
            for _ in range(10):
                a.links.send("b", RelayAnswer(1, bytes(4 * MEGABYTE)))
            poll((a, c), lambda: LinkDown("b") in a.events)
            assert a.told("doesn't read its answers") == ["b"]
        assert a.links.send("c", RelayDropped(1))
        poll((a, c), lambda: Received("a", RelayDropped(1)) in c.events)


@pytest.mark.usefixtures("little_owed")
def test_much_that_is_sent_and_read_costs_no_connection() -> None:
    with hosts(Host("a"), Host("b", listen=None)) as (a, b):
        a.links.add_peer(b.row())
        with raw_dealer(a, b.keys) as socket:
            socket.send(encode(HELLO))
            poll((a,), lambda: a.links.connected("b"))
            for number in range(5_000):
                socket.send(encode(RelayDropped(number)))
            for number in range(30):
                socket.send(encode(RelayAnswer(number, bytes(MEGABYTE))))
                poll((a,), partial(_came_last, a, number))
            assert len(a.events) == 5_031
        assert not a.refusals


def _came_last(host: Host, number: int) -> bool:
    return host.events[-1] == Received("b", RelayAnswer(number, bytes(MEGABYTE)))


def test_over_the_number_of_connections_the_oldest_that_said_nothing_ends(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "most_connections", lambda: 5)
    with hosts(Host("a"), Host("b")) as (a, b):
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))
        assert a.links.address is not None
        port = int(a.links.address.rpartition(":")[2])
        silent = [sockets.create_connection(("127.0.0.1", port)) for _ in range(12)]
        try:
            ended: set[int] = set()

            def cut_off() -> bool:
                for number, line in enumerate(silent):
                    line.setblocking(False)
                    try:
                        while line.recv(4096):
                            pass
                        ended.add(number)
                    except BlockingIOError:
                        continue
                    except ConnectionError:
                        ended.add(number)
                return len(ended) >= 8

            poll((a, b), cut_off, bare=silent)
        finally:
            for line in silent:
                line.close()
        assert ended == set(range(8)), "the oldest go first"
        assert len(a.told("too many connections")) == 1
        assert both_connected(a, b)
        assert b.links.send("a", RelayDropped(1))
        poll((a, b), lambda: Received("b", RelayDropped(1)) in a.events)


def test_where_all_connections_speak_the_new_one_ends() -> None:
    standings = Standings(2)
    for descriptor in (1000, 1001):
        assert standings.began(descriptor, 0.0) is None
        standings.spoke(descriptor, b"route", "peer:b", 10)
    assert standings.began(1002, 0.0) == 1002
    assert standings.of(["peer:b"]) == [1000, 1001]
    standings.ended(1000)
    assert standings.began(1003, 0.0) is None
    assert len(standings) == 2


def test_only_a_connection_to_the_named_place_is_cut() -> None:
    with sockets.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ours = sockets.create_connection(("127.0.0.1", port))
        theirs, _ = server.accept()
        one, other = sockets.socketpair()
        with ours, theirs, one, other, open("/dev/null") as file:
            assert not cut(theirs.fileno(), port + 1)
            assert not cut(one.fileno(), port)
            assert not cut(file.fileno(), port)
            assert not cut(-1, port)
            with pytest.raises(OSError), borrowed(file.fileno()):
                pass
            assert cut(theirs.fileno(), port)
            assert ours.recv(1) == b""
            one.send(b"x")
            assert other.recv(1) == b"x"


def test_a_message_of_many_frames_is_counted_logged_answered_and_read_no_further() -> None:
    with hosts(Host("a"), Host("b", listen=None)) as (a, b):
        a.links.add_peer(b.row())
        with raw_dealer(a, b.keys) as socket:
            socket.send(encode(HELLO))
            socket.send_multipart([b"x"] * 100_000)
            socket.send(encode(RelayDropped(1)))
            poll((a,), lambda: Received("b", RelayDropped(1)) in a.events)
            assert a.told("malformed message") == ["b: more than 2 frames instead of one"]
            assert a.links.refusals_of("b") == 1
            answers = [decode(socket.recv()) for _ in iter(lambda: socket.poll(0), 0)]
        assert [type(answer) for answer in answers if not isinstance(answer, Hello)] == [Rejected]


# --- counting -------------------------------------------------------------------------------------


def test_senders_that_come_anew_again_and_again_do_not_fill_the_memory() -> None:
    refusals = Refusals()
    for number in range(SENDERS * 3):
        refusals.refused(str(number), float(number))
    assert refusals.total == SENDERS * 3
    assert refusals.count("0") == 0
    assert refusals.count(str(SENDERS * 3 - 1)) == 1


def test_the_log_has_some_lines_of_a_sender_then_a_count() -> None:
    lines = LogLines()
    found = [lines.line("b", str(number), number / 100) for number in range(200)]
    assert [line for line in found if line is not None][:2] == ["b: 0", "b: 1"]
    assert len([line for line in found if line is not None]) == LINES
    assert lines.line("c", "other", 2.0) == "c: other"
    assert lines.line("b", "later", REPEAT_AFTER) == f"b: later ({200 - LINES} lines before were left out)"


# --- the authenticator ----------------------------------------------------------------------------


def test_a_fault_in_the_authenticator_refuses_one_request_and_ends_nothing() -> None:
    calls = itertools.count(1)

    def failing_log(_key: str) -> None:
        if next(calls) <= 5:
            raise OSError("no room for the log")

    context: Context = zmq.Context()
    gate = Gatekeeper(context, failing_log)
    asker = context.socket(zmq.DEALER)
    try:
        asker.connect(ENDPOINT)
        request = [b"", b"1.0", b"7", DOMAIN, b"127.0.0.1", b"", b"CURVE"]
        for _ in range(3):
            asker.send_multipart([*request, b"k" * 32])
            assert gate.socket.poll(5000)
            gate.receive()
            assert asker.recv_multipart()[:4] == [b"", b"1.0", b"7", b"500"]
        assert gate.faults == 3
        known = fresh_keys()
        gate.admit(known.public, "peer:b")
        asker.send_multipart([*request, z85.decode(known.public.encode())])
        assert gate.socket.poll(5000)
        gate.receive()
        assert asker.recv_multipart()[3:6] == [b"200", b"", b"peer:b"]
    finally:
        context.destroy(linger=0)


def test_a_fault_while_a_stranger_knocks_keeps_no_peer_out() -> None:
    with hosts(Host("a"), Host("b"), Host("c")) as (a, b, stranger):
        def full(kind: str, _detail: str) -> None:
            raise OSError("no room for the log")

        a.stop()
        a.start_with(full)
        stranger.links.add_peer(a.row())
        poll((a, b, stranger), lambda: stranger.told("handshake refused"))
        pair(a, b)
        poll((a, b, stranger), lambda: both_connected(a, b))


# --- roles and revoked keys -------------------------------------------------------------------------


def test_hosts_tell_each_other_what_they_may() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        viewer = b.row()
        viewer.role = Role.VIEWER
        a.links.add_peer(viewer)
        b.links.add_peer(a.row())
        poll((a, b), lambda: both_connected(a, b))
        heard = b.links.hello_of("a")
        assert heard is not None
        assert heard.your_role == "viewer"
        viewer.role = Role.PEER
        a.links.add_peer(viewer)
        a.links.tell_role("b")

        def told() -> bool:
            hello = b.links.hello_of("a")
            return hello is not None and hello.your_role == "peer"

        poll((a, b), told)


@pytest.mark.parametrize("dials", ["both", "revoker", "revoked"])
def test_a_removed_host_is_told_why_and_heard_no_more_whoever_dials(dials: str) -> None:
    a = Host("a", listen=None if dials == "revoker" else "tcp://127.0.0.1:0")
    b = Host("b", listen=None if dials == "revoked" else "tcp://127.0.0.1:0")
    with hosts(a, b):
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))
        a.links.remove_peer("b", "it was revoked")
        a.events.clear()
        assert not a.links.connected("b")
        poll((a, b), lambda: b.links.refused_by("a") == "it was revoked")
        for _ in range(3):
            b.links.send("a", RelayDropped(1))
        poll((a, b), lambda: not b.links.connected("a"))
        assert not [event for event in a.events if isinstance(event, Received | LinkUp)]
