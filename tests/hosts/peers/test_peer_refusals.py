"""What links refuse: strangers, other names, other versions, malformed messages."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
import zmq

from sojourn.hosts.peers.limits import (
    LARGEST_FRAME,
    REFUSALS,
    SILENCE,
    STRANGERS_TOLD,
    Refusals,
    Strangers,
)
from sojourn.hosts.peers.links import LinkDown, LinkUp, PairRequested, Received
from sojourn.hosts.peers.zap import DOMAIN, ENDPOINT
from sojourn.runtime.job import InviteRow
from sojourn.runtime.wire.peer import (
    Hello,
    HelloRefused,
    Pair,
    PeerMessage,
    Rejected,
    RelayAnswer,
    RelayDropped,
    decode,
    encode,
)
from tests.hosts.peers.meeting import Host, both_connected, fresh_keys, hosts, pair, poll, raw_dealer

HELLO = Hello("b", "store of b", 1, 1, 1)


def answer(socket: zmq.Socket[bytes], host: Host) -> PeerMessage:
    """What a raw socket is answered, HELLOs aside."""
    def received() -> PeerMessage | None:
        while socket.poll(0):
            message = decode(socket.recv())
            if not isinstance(message, Hello):
                return message
        return None

    message = poll((host,), received, "an answer", [socket])
    assert message is not None
    return message


# --- who may connect --------------------------------------------------------------------------------


def test_an_unknown_key_is_refused_and_logged_and_changes_nothing() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        b.links.add_peer(a.row())  # but a doesn't know b
        poll((a, b), lambda: a.refusals and b.refusals)
        assert a.told("unknown key") == [b.keys.public]
        assert b.told("handshake refused") == [f"a at {a.links.address}"]
        assert not a.events
        assert not b.events
        assert not a.links.connected("b")


def test_a_known_name_under_another_key_is_refused() -> None:
    with hosts(Host("a"), Host("b"), Host("b")) as (a, b, impostor):
        pair(a, b)
        impostor.links.add_peer(a.row())
        poll((a, b, impostor), lambda: both_connected(a, b) and impostor.refusals)
        assert a.told("unknown key") == [impostor.keys.public]
        assert not impostor.events


def test_a_host_whose_server_key_is_wrong_is_not_spoken_to() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        a.links.add_peer(b.row(key=fresh_keys().public))
        poll((a, b), lambda: a.told("handshake refused"))
        assert not a.links.connected("b")
        why = a.links.why_apart("b")
        assert why is not None
        assert "`sojourn invite`" in why
        assert not b.events


def test_without_curve_nobody_gets_in() -> None:
    with hosts(Host("a")) as (a,):
        assert a.links.address is not None
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        plain = context.socket(zmq.DEALER)
        monitor = plain.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_DISCONNECTED)
        plain.connect(a.links.address)
        plain.send(encode(HELLO))
        poll((a,), lambda: monitor.poll(0), "the end of the connection", [monitor])
        assert not a.events
        plain.disable_monitor()
        monitor.close(0)
        context.destroy(linger=0)


def test_a_stranger_that_knocks_for_minutes_is_logged_once_a_minute() -> None:
    strangers = Strangers()
    lines = [strangers.knocked("key", now / 2) for now in range(241)]
    assert [line for line in lines if line is not None] == [
        "key",
        "key (119 more times since the last line)",
        "key (119 more times since the last line)",
    ]


def test_strangers_do_not_fill_the_memory() -> None:
    strangers = Strangers()
    for number in range(5000):
        assert strangers.knocked(str(number), 100.0 * number) == str(number)
    assert strangers.knocked("4999", 499_901.0) is None
    assert strangers.knocked("0", 500_000.0) == "0"  # forgotten, hence told anew


def test_many_strangers_get_few_lines_together() -> None:
    strangers = Strangers()
    lines = [strangers.knocked(str(number), number / 100) for number in range(20_000)]
    told = [line for line in lines if line is not None]
    assert len(told) == 4 * STRANGERS_TOLD
    assert told[STRANGERS_TOLD - 1] == f"{STRANGERS_TOLD - 1} (others aren't logged for a while)"


def test_malformed_requests_do_not_end_the_authenticator() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        asker = a.context.socket(zmq.DEALER)
        asker.set(zmq.LINGER, 0)
        asker.connect(ENDPOINT)
        key = b"k" * 32
        right = [b"", b"1.0", b"7", DOMAIN, b"127.0.0.1", b"", b"CURVE", key]
        garbage = [
            [b"garbage"], [b"", b""], [b"", b"1.0"], [b"", *[b"x"] * 50], right[:-1], [*right, b"more"],
            [*right[:-1], b"short"], [*right[:-2], b"PLAIN", key], [*right[:1], b"2.0", *right[2:]],
            [*right[:3], b"other domain", *right[4:]], [b"\xff" * 300, *right],
        ]
        for request in garbage:
            asker.send_multipart(request)
        asker.send_multipart(right)
        answers: list[list[bytes]] = []

        def answered() -> bool:
            while asker.poll(0):
                answers.append(asker.recv_multipart())
            return any(frames[2] == b"7" and frames[4] == b"unknown key" for frames in answers)

        poll((a,), answered, bare=[asker])
        assert {frames[3] for frames in answers} == {b"400"}
        asker.close(0)
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))


# --- HELLO ------------------------------------------------------------------------------------------


def test_without_a_common_version_both_sides_name_both_ranges() -> None:
    with hosts(Host("a", versions=(1, 2)), Host("b", versions=(3, 4), listen=None)) as (a, b):
        pair(a, b)
        poll((a, b), lambda: a.refusals and b.refusals)
        for told in (a.told("hello")[0], b.told("hello refused by peer")[0]):
            assert "versions 1 to 2" in told
            assert "3 to 4" in told
        for host, peer in ((a, "b"), (b, "a")):
            why = host.links.why_apart(peer)
            assert why is not None
            assert "update the older one" in why
        assert not both_connected(a, b)
        assert not a.events
        assert not b.events


def test_hosts_of_different_age_meet_in_the_versions_that_both_speak() -> None:
    with hosts(Host("a", versions=(1, 2)), Host("b", versions=(2, 4))) as (a, b):
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))
        assert a.links.why_apart("b") is None


def test_what_kept_two_hosts_apart_is_forgotten_when_they_meet() -> None:
    with hosts(Host("a", versions=(1, 2)), Host("b", versions=(3, 4))) as (a, b):
        pair(a, b)
        poll((a, b), lambda: a.links.why_apart("b") and b.links.why_apart("a"))
        b.versions = (2, 3)
        b.restart()
        poll((a, b), lambda: both_connected(a, b))
        assert (a.links.why_apart("b"), b.links.why_apart("a")) == (None, None)


def test_a_host_that_calls_itself_otherwise_than_its_key_is_refused() -> None:
    with hosts(Host("a"), Host("c", listen=None)) as (a, c):
        row = c.row()
        row.name = "b"
        a.links.add_peer(row)
        c.links.add_peer(a.row())
        poll((a, c), lambda: c.told("hello refused by peer"))
        assert "calls itself 'c'" in a.told("hello")[0]
        assert not a.links.connected("b")
        assert not a.events


def test_nothing_is_taken_from_a_peer_before_its_hello() -> None:
    with hosts(Host("a"), Host("b", listen=None)) as (a, b):
        a.links.add_peer(b.row())
        with raw_dealer(a, b.keys) as socket:
            socket.send(encode(RelayDropped(1)))
            socket.send(encode(HELLO))
            socket.send(encode(RelayDropped(2)))
            poll((a,), lambda: len(a.events) == 2)
        assert a.events == [LinkUp("b", HELLO), Received("b", RelayDropped(2))]


@pytest.mark.parametrize(
    "change",
    [
        {"incarnation": -1}, {"incarnation": 2**63}, {"highest": 2**64 - 1}, {"host": "b\n"}, {"host": ""},
        {"store_id": ""}, {"store_id": "x" * 1000}, {"address": "ipc:///tmp/x"}, {"address": "tcp://h:0"},
        {"address": "tcp://*:7"}, {"address": "tcp://h:99999"}, {"address": "tcp://a;b:1"}, {"address": ""},
    ],
    ids=str,
)
def test_a_hello_with_an_impossible_field_is_refused(change: dict[str, object]) -> None:
    with hosts(Host("a"), Host("b", listen=None)) as (a, b):
        a.links.add_peer(b.row())
        with raw_dealer(a, b.keys) as socket:
            socket.send(encode(msgspec.structs.replace(HELLO, **change)))
            assert isinstance(answer(socket, a), Rejected)
        assert not [event for event in a.events if not isinstance(event, LinkDown)]


# --- malformed messages ---------------------------------------------------------------------------


def _text(text: bytes) -> bytes:
    return bytes([0xA0 + len(text)]) + text


def _map(*fields: bytes) -> bytes:
    return bytes([0x80 + len(fields) // 2]) + b"".join(fields)


@dataclasses.dataclass(frozen=True)
class Garbage:
    what: str
    frames: list[bytes]


GARBAGE = [
    Garbage("nothing", [b""]),
    Garbage("no msgpack", [b"\xc1"]),
    Garbage("no message", [b"\x01"]),
    Garbage("unknown message", [_map(_text(b"type"), _text(b"shutdown"))]),
    Garbage("missing field", [_map(_text(b"type"), _text(b"relay_dropped"))]),
    Garbage("wrong type of field", [
        _map(_text(b"type"), _text(b"relay_dropped"), _text(b"relay"), _text(b"1"))
    ]),
    Garbage("cut off", [encode(RelayAnswer(1, b"x" * 100))[:-1]]),
    Garbage("trailing bytes", [encode(RelayDropped(1)) + b"\x00"]),
    Garbage("text that is no UTF-8", [_map(_text(b"type"), _text(b"ready"), _text(b"m"), b"\xa2\xff\xff")]),
    Garbage("type that is no UTF-8", [_map(_text(b"type"), b"\xa2\xff\xff")]),
    Garbage("endless nesting", [_map(_text(b"type"), _text(b"ready"), _text(b"z"), b"\x91" * 1_000_000)]),
    Garbage("four thousand million entries", [
        _map(_text(b"type"), _text(b"relay"), _text(b"route"), b"\xdd\xff\xff\xff\xff")
    ]),
    Garbage("two frames", [encode(RelayDropped(1)), b""]),
    Garbage("a thousand frames", [b"x"] * 1000),
    Garbage("Pair of a paired host", [encode(Pair("b", "k", None, "s"))]),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: garbage.what)
def test_a_malformed_message_is_logged_answered_and_changes_nothing(garbage: Garbage) -> None:
    with hosts(Host("a"), Host("b", listen=None)) as (a, b):
        a.links.add_peer(b.row())
        with raw_dealer(a, b.keys) as socket:
            socket.send(encode(HELLO))
            socket.send_multipart(garbage.frames)
            said = answer(socket, a)
            assert isinstance(said, Rejected)
            assert said.kind == "ProtocolViolation"
            assert [told.partition(":")[0] for told in a.told("malformed message")] == ["b"]
            socket.send(encode(RelayDropped(9)))
            poll((a,), lambda: len(a.events) == 2)
        assert a.events == [LinkUp("b", HELLO), Received("b", RelayDropped(9))]


def test_a_malformed_answer_of_a_dialled_peer_is_refused_too() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        a.links.add_peer(b.row())
        b.links.add_peer(a.row(address=False))
        poll((a, b), lambda: both_connected(a, b))
        hello = a.links.hello_of("b")
        assert hello is not None
        b.links.send("a", msgspec.structs.replace(hello, incarnation=2**63))
        poll((a, b), lambda: [message for message in b.messages() if isinstance(message, Rejected)])
        assert len(a.told("malformed message")) == 1
        assert a.links.connected("b")


def test_a_frame_beyond_the_bound_ends_its_connection_and_no_other() -> None:
    with hosts(Host("a"), Host("b", listen=None), Host("c")) as (a, b, c):
        a.links.add_peer(b.row())
        pair(a, c)
        with raw_dealer(a, b.keys) as socket:
            socket.send(encode(HELLO))
            poll((a, c), lambda: a.links.connected("b") and both_connected(a, c))
            socket.send(b"x" * (LARGEST_FRAME + 1))
            poll((a, c), lambda: LinkDown("b") in a.events)
        assert c.links.send("a", RelayDropped(1))
        poll((a, c), lambda: Received("c", RelayDropped(1)) in a.events)


def test_a_message_beyond_the_bound_is_not_sent() -> None:
    with hosts(Host("a"), Host("b")) as (a, b):
        pair(a, b)
        poll((a, b), lambda: both_connected(a, b))
        assert not a.links.send("b", RelayAnswer(1, b"x" * LARGEST_FRAME))
        assert len(a.told("too large to send")) == 1
        assert a.links.connected("b")


def test_a_peer_that_goes_on_sending_garbage_is_not_listened_to_while_others_are() -> None:
    with hosts(Host("a"), Host("b", listen=None), Host("c")) as (a, b, c):
        a.links.add_peer(b.row())
        pair(a, c)
        with raw_dealer(a, b.keys) as socket:
            socket.send(encode(HELLO))
            poll((a, c), lambda: a.links.connected("b") and both_connected(a, c))
            for _ in range(REFUSALS * 3):
                socket.send(b"\xc1")
            socket.send(encode(RelayDropped(1)))
            poll((a, c), lambda: a.told("not listened to for a while"))
            c.links.send("a", RelayDropped(2))
            poll((a, c), lambda: Received("c", RelayDropped(2)) in a.events)
            assert len(a.told("malformed message")) == REFUSALS
            assert Received("b", RelayDropped(1)) not in a.events
            a.skipped_seconds = SILENCE + 1
            socket.send(encode(RelayDropped(3)))
            poll((a,), lambda: Received("b", RelayDropped(3)) in a.events)
            assert Received("b", RelayDropped(1)) not in a.events


def test_refusals_that_are_far_apart_silence_nobody() -> None:
    refusals = Refusals()
    assert not any(refusals.refused("b", now) for now in range(0, 1000, 1))
    assert refusals.total == 1000
    assert not refusals.silenced("b", 1000.0)


# --- invitations ------------------------------------------------------------------------------------


def test_under_an_invitation_only_pair_is_heard() -> None:
    with hosts(Host("a")) as (a,):
        once = fresh_keys()
        a.links.add_invite(InviteRow(once.public, 0.0))
        pair_ = Pair("b", fresh_keys().public, None, "store of b")
        with raw_dealer(a, once) as socket:
            for message in (RelayDropped(1), HELLO, HelloRefused("x", "y")):
                socket.send(encode(message))
                assert isinstance(answer(socket, a), Rejected)
            socket.send(encode(pair_))
            poll((a,), lambda: a.events)
        [event] = a.events
        assert isinstance(event, PairRequested)
        assert (event.invite_key, event.pair) == (once.public, pair_)


def test_a_paired_host_with_the_name_of_an_invitation_is_none() -> None:
    with hosts(Host("a"), Host("b", listen=None)) as (a, b):
        row = b.row()
        row.name = "invite:b"
        a.links.add_peer(row)
        with raw_dealer(a, b.keys) as socket:
            socket.send(encode(Pair("b", fresh_keys().public, None, "store of b")))
            assert isinstance(answer(socket, a), Rejected)
        assert not a.events


@pytest.mark.parametrize(
    "change",
    [
        {"host": "invite:x"}, {"host": "../etc"}, {"host": "b" * 64}, {"public_key": "short"},
        {"public_key": "~" * 40}, {"public_key": "#" * 40}, {"public_key": "ä" * 40},
        {"address": "inproc://zeromq.zap.01"}, {"address": "no address"}, {"store_id": "\x00"},
    ],
    ids=str,
)
def test_a_pair_with_an_impossible_name_key_or_address_is_refused(change: dict[str, object]) -> None:
    with hosts(Host("a")) as (a,):
        once = fresh_keys()
        a.links.add_invite(InviteRow(once.public, 0.0))
        good = Pair("b", fresh_keys().public, None, "store of b")
        with raw_dealer(a, once) as socket:
            socket.send(encode(msgspec.structs.replace(good, **change)))
            assert isinstance(answer(socket, a), Rejected)
        assert not a.events
