"""The bytes of every message: what one version sends, the next one must still read.

``golden/wire.json`` holds them. A test that fails here means that hosts of two versions would no longer
understand each other: raise the protocol version, don't just write the file anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.runtime.roles import Role
from sojourn.runtime.wire import actor, claims, client, handoff, peer, survey, whole_hosts, zygote
from sojourn.runtime.wire.framing import Deframer, frame

GOLDEN: dict[str, str] = json.loads((Path(__file__).parent / "golden" / "wire.json").read_text())

TURN = actor.Turn(7, 1, 2, "input", 3, b"\x80", b"\x81\xa1p\x01")
RESULT = actor.Result(
    7, actor.Ending.FAILED, 1.5, 2.5, [("output", b"\x80")], {"n": b"\x01", "gone": None},
    [("k", actor.SharedKind.ADD, b"\x01")], b"\x80", b"\x80", [actor.Question("q", "slot", "why?", None)],
    actor.TurnError("ValueError", "no", "trace", retryable=True, after=1.0), [("ab", 3)],
)
CONTEXT = actor.JobContext(1, "job", "instance", 2, {"n": b"\x01"}, {"k": b"\x01", "gone": None}, True)

TO_ACTOR: list[actor.ToActor] = [
    actor.Dispatch(5, [CONTEXT], [TURN]),
    actor.Recall(1, None),
    actor.Yield(1, 2.5),
    actor.Unyield(1),
    actor.Committed(7, True),
    actor.Forget([1, 2]),
    actor.Stop(),
]
FROM_ACTOR: list[actor.FromActor] = [
    actor.Ready(42, "sha256:ab"),
    actor.Results([RESULT], [actor.LogLine(1, 2, 3, 4.5, "stdout", "text")]),
    actor.Recalled(1, [7], 8),
    actor.ReturnedUnbegun([9]),
]
TO_ZYGOTE: list[zygote.ToZygote] = [
    zygote.Inspect(1, "m:flow"),
    zygote.Check(2, b"flow", True),
    zygote.Fork(3, "p", "ipc://x", b"flow", "digest", "step", "/page", "/blobs", 1024),
    zygote.Shutdown(),
]
FROM_ZYGOTE: list[zygote.FromZygote] = [
    zygote.Started(42),
    zygote.Inspected(1, b"flow", "sha256:ab", [("m.py", "ab")], True, {"step": ["m.py"]}),
    zygote.LoadFailed(1, "NotFound", "no module"),
    zygote.Forked(3, "p", 43),
    zygote.Exited("p", 43, -9),
]
COMMANDS: list[client.Command] = [
    client.Submit("m:flow", None, [b"\x80"], [None]),
    client.Jobs(),
    client.Show("job", follow=True),
    client.Wait(["job"], "epoch > 1", 2.0, True),
    client.Logs("job", True, 3),
    client.Pause("job"),
    client.Resume("job", b"\x80", "q"),
    client.Cancel("job"),
    client.Retry("job"),
    client.Forget("job"),
    client.Migrate("job", "b", 1.0, True),
    client.DryRun("job", "b", 1.0, True, 2.0),
    client.Export("job", "/file", "b"),
    client.Import(b"{}"),
    client.Invite(60.0, Role.PEER),
    client.Join("token", Role.VIEWER),
    client.Peers(),
    client.SetRole("b", Role.OPERATOR),
    client.Revoke("b", True),
    client.Handoffs("job"),
    client.Resolve("job", "accept"),
    client.Status(),
    client.Down(),
    whole_hosts.MigrateMany(["one", "two"], "b", 1.0, True, 5.0),
    whole_hosts.Cordon(False),
    whole_hosts.Drain("b", 60.0, 1.0),
]
ANSWERS: list[client.Answer] = [
    client.Progress(1, b"{}"),
    client.Reply(1, b"{}"),
    client.Failure(1, "NotFound", "no job"),
]
HANDOFF: list[handoff.HandoffMessage] = [
    handoff.Preflight("m", "job", "i", 1, "store", b"flow", "sha256:ab", [("m.py", "ab")], 10, True),
    handoff.PreflightReady("m"),
    handoff.HandoffRefused("m", "Refused", "no"),
    handoff.Chunk("m", 0, b"data", "blob"),
    handoff.Credit("m", 1, 1024),
    handoff.Offer("m", "job", "i", 1, 9, "digest", "store", 1, 4),
    handoff.Prepared("m", "digest", "target", "store"),
    handoff.Commit("m", "job", "i", 1),
    handoff.Ack("m", 2, "store"),
    handoff.Unknown("m", "target"),
    handoff.Waiting("m"),
    handoff.Closed("m"),
    handoff.Superseded("m", 3),
    handoff.Abort("m", "why"),
    handoff.Query("m", "job", "i", 1, "store"),
    handoff.ActorsStarted("m", 1.5),
    handoff.Measured("m", {"freeze": 1.0}, 2.5),
]
CODE = survey.Code("sha256:ab", [("m.py", "ab")], {"step": ["m.py"]})
PEER: list[peer.PeerMessage] = [
    peer.Hello("a", "store", 3, 1, 1, "tcp://h:1", "run", peer.Known("store", 2, "run"), "peer"),
    peer.HelloRefused("ProtocolViolation", "no"),
    peer.Pair("b", "key", None, "store"),
    peer.Paired("a", "key", "tcp://h:1", "store"),
    peer.PairRefused("AccessDenied", "no"),
    peer.RelayRequest(1, b"request", ["a"]),
    peer.RelayAnswer(1, b"answer"),
    peer.RelayReturned(1, "a"),
    peer.RelayDropped(1),
    peer.Cordoned(True),
    peer.Rejected("ProtocolViolation", "no"),
    claims.Asking(1, ["job"]),
    claims.Claims(1, [claims.Claim("job", "i", 2, "gone", "b")]),
    survey.Survey(
        2, handoff.Preflight("m", "job", "i", 1, "store", b"flow", "", [], 9), CODE, 1, "0.1", True
    ),
    survey.Surveyed("m", 2, [("Refused", "no")], [("ab", 3)], CODE, 9, 4, 0.5, 1.5, 0.25, (1, 1), "0.1"),
    *HANDOFF,
]


def encoded() -> dict[str, tuple[bytes, object, Callable[[bytes], object]]]:
    """Give every message by name: its bytes, itself, and what decodes it."""
    found: dict[str, tuple[bytes, object, Callable[[bytes], object]]] = {}
    for to_actor in TO_ACTOR:
        found[f"to_actor.{type(to_actor).__name__}"] = (
            actor.encode(to_actor), to_actor, actor.decode_to_actor,
        )
    for from_actor in FROM_ACTOR:
        found[f"from_actor.{type(from_actor).__name__}"] = (
            actor.encode(from_actor), from_actor, actor.decode_from_actor,
        )
    for to_zygote in TO_ZYGOTE:
        found[f"to_zygote.{type(to_zygote).__name__}"] = (
            zygote.encode(to_zygote), to_zygote, zygote.decode_to_zygote,
        )
    for from_zygote in FROM_ZYGOTE:
        found[f"from_zygote.{type(from_zygote).__name__}"] = (
            zygote.encode(from_zygote), from_zygote, zygote.decode_from_zygote,
        )
    for command in COMMANDS:
        request = client.Request(1, "id", None, command)
        found[f"client.{type(command).__name__}"] = (
            client.encode(request), request, client.decode_request,
        )
    for answer in ANSWERS:
        found[f"client.{type(answer).__name__}"] = (
            client.encode(answer), answer, client.decode_answer,
        )
    for message in PEER:
        found[f"peer.{type(message).__name__}"] = (peer.encode(message), message, peer.decode)
    return found


ENCODED = encoded()


def test_every_message_has_golden_bytes() -> None:
    assert set(GOLDEN) == set(ENCODED)
    unions = (
        (actor.ToActor, TO_ACTOR), (actor.FromActor, FROM_ACTOR), (zygote.ToZygote, TO_ZYGOTE),
        (zygote.FromZygote, FROM_ZYGOTE), (client.Command, COMMANDS), (client.Answer, ANSWERS),
        (peer.PeerMessage, PEER),
    )
    for union, samples in unions:
        assert {type(sample) for sample in samples} == set(union.__args__)


@pytest.mark.parametrize("name", sorted(ENCODED))
def test_the_bytes_are_the_golden_ones_and_decode_to_the_message(name: str) -> None:
    data, message, decode = ENCODED[name]
    assert data.hex() == GOLDEN[name]
    assert decode(bytes.fromhex(GOLDEN[name])) == message


def test_a_host_that_knows_no_roles_is_understood() -> None:
    hello = peer.Hello("a", "store", 3, 1, 1, "tcp://h:1", "run", peer.Known("store", 2, "run"))
    fields = msgspec.msgpack.decode(peer.encode(hello))
    del fields["your_role"]
    assert peer.decode(msgspec.msgpack.encode(fields)) == hello


def test_messages_to_a_peer_that_follow_each_other_are_a_list_of_them() -> None:
    ack, started = handoff.Ack("m", 2, "store"), handoff.ActorsStarted("m", 1.5)
    (one,) = peer.frames_of([ack])
    (both,) = peer.frames_of([ack, started])
    assert one == peer.encode(ack), "what is alone is no list"
    assert both == b"\x92" + peer.encode(ack) + peer.encode(started)
    many = [handoff.Closed(str(number)) for number in range(20)]
    (frame_of_many,) = peer.frames_of(many)
    assert frame_of_many[:3] == b"\xdc\x00\x14"
    assert peer.decode_all(frame_of_many) == many


@given(st.lists(st.one_of(
    st.builds(handoff.Closed, st.text(max_size=5)),
    st.integers(0, 2 * peer.SMALL_FRAME).map(lambda size: handoff.Chunk("m", 0, bytes(size))),
), max_size=2 * peer.MOST_TOGETHER))
def test_frames_hold_all_messages_in_their_order_and_only_small_ones_together(
    messages: list[peer.PeerMessage],
) -> None:
    frames = list(peer.frames_of(messages))
    held = [peer.decode_all(frame) for frame in frames]
    assert [message for together in held for message in together] == messages
    for frame_, together in zip(frames, held, strict=True):
        assert len(together) == 1 or len(frame_) <= peer.SMALL_FRAME + 3


@pytest.mark.parametrize("data", [b"\x90", b"\x91\xc0", b"\x92\x80\x80", b"\xdc\xff\xff", b"\xc0"])
def test_a_frame_that_holds_no_messages_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        peer.decode_all(data)


def test_lists_of_lists_of_messages_and_lists_of_too_many_are_refused() -> None:
    closed = peer.encode(handoff.Closed("m"))
    for data in (
        b"\x92" + (b"\x92" + 2 * closed) * 2,
        b"\x91" + closed,
        b"\xdc" + (peer.MOST_TOGETHER + 1).to_bytes(2, "big") + closed * (peer.MOST_TOGETHER + 1),
    ):
        with pytest.raises(msgspec.DecodeError):
            peer.decode_all(data)


def test_a_client_that_knows_no_priorities_is_understood() -> None:
    request = client.Request(1, "id", None, client.Submit("m:flow", None, [b"\x80"], [None]))
    fields = msgspec.msgpack.decode(client.encode(request))
    del fields[3]["priority"]
    assert client.decode_request(msgspec.msgpack.encode(fields)) == request


@pytest.mark.parametrize("priority", [-4, 4])
def test_a_priority_out_of_range_is_refused(priority: int) -> None:
    submit = client.Submit("m:flow", None, [], [], priority)
    with pytest.raises(msgspec.DecodeError):
        client.decode_request(client.encode(client.Request(1, "id", None, submit)))


@given(st.binary(max_size=200), st.sampled_from(sorted(ENCODED)))
def test_rubbish_is_refused_by_every_decoder(data: bytes, name: str) -> None:
    decode = ENCODED[name][2]
    try:
        decode(data)
    except msgspec.DecodeError:
        return
    assert decode(data) is not None


@given(st.lists(st.binary(max_size=50)), st.integers(1, 7))
def test_frames_survive_any_cut_of_the_stream(messages: list[bytes], step: int) -> None:
    stream = b"".join(map(frame, messages))
    deframer = Deframer()
    found: list[bytes] = []
    for start in range(0, len(stream), step):
        found.extend(deframer.feed(stream[start : start + step]))
    assert found == messages


def test_a_frame_that_claims_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        Deframer().feed(b"\xff\xff\xff\xff")


def test_figures_that_are_no_numbers_are_refused() -> None:
    for message in (handoff.Measured("m", {"freeze": float("nan")}, 1.0), handoff.ActorsStarted("m", -1.0)):
        with pytest.raises(msgspec.DecodeError):
            peer.decode(peer.encode(message))
