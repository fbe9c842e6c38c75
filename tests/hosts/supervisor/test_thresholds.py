"""The sockets of a machine: what is malformed is refused with its sender's name, and others are served."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import structlog.testing
import zmq

from sojourn.hosts.peers.limits import REFUSALS, SILENCE
from sojourn.hosts.reception import DROPPED_PER_ROUND
from sojourn.hosts.supervisor.thresholds import (
    FRAMES_PER_ROUND,
    UNREAD,
    Door,
    Refusal,
    client_name,
    process_name,
)
from sojourn.runtime.wire import actor, client

Context = zmq.Context[zmq.Socket[bytes]]
PATIENCE_MS = 10_000
GOOD = client.encode(client.Request(1, "id", None, client.Jobs()))
NESTED = b"\x91" * 200_000
RUBBISH = [random.Random(n).randbytes(n * 7) for n in range(1, 40)]
MALFORMED: list[list[bytes]] = [
    [b""], [b"", b""], [b"a", b"b", b"c"], [b"x"] * 1000, [b"\x90"], [b"\xc1"], [NESTED],
    [b"\xdd\xff\xff\xff\xff"], [b"\xa4\xff\xff\xff\xff"], [GOOD, b""], [GOOD + b"\x00"], [GOOD[:-1]],
    *([frame] for frame in RUBBISH),
]


class Sockets(Context):
    """A context that closes, at its end, what was made of it."""

    made: ClassVar[list[zmq.Socket[bytes]]] = []

    def socket(self, *arguments: Any, **options: Any) -> zmq.Socket[bytes]:
        made = super().socket(*arguments, **options)
        self.made.append(made)
        return made


@pytest.fixture
def context() -> Iterator[Context]:
    context = Sockets()
    yield context
    while context.made:
        context.made.pop().close(0)
    context.term()


@pytest.fixture
def clients(context: Context, tmp_path: Path) -> Door[client.Request]:
    return Door(context, tmp_path / "clients", client_name, client.decode_request)


def dial(context: Context, door: Door[client.Request] | Door[actor.FromActor]) -> zmq.Socket[bytes]:
    endpoint = door.socket.get(zmq.LAST_ENDPOINT)
    assert isinstance(endpoint, bytes)
    socket = context.socket(zmq.DEALER)
    socket.connect(endpoint.decode().rstrip("\0"))
    return socket


def next_of(door: Door[client.Request], now: float) -> list[client.Request | Refusal]:
    """Wait until something came and give all of one round."""
    assert door.socket.poll(PATIENCE_MS)
    return [message for _, message in door.receive(now)]


def test_every_malformed_message_is_refused_and_the_next_one_is_read(
    context: Context, clients: Door[client.Request]
) -> None:
    line = dial(context, clients)
    for number, frames in enumerate(MALFORMED):
        now = number * 100.0  # far apart: nobody falls silent
        line.send_multipart(frames)
        [refused] = next_of(clients, now)
        assert isinstance(refused, Refusal), frames
        line.send(GOOD)
        [read] = next_of(clients, now)
        assert isinstance(read, client.Request)


def test_who_goes_on_sending_rubbish_is_not_listened_to_wherever_it_connects_again(
    context: Context, clients: Door[client.Request]
) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(REFUSALS):
            line = dial(context, clients)
            line.send(b"\xc1")
            [refused] = next_of(clients, 1.0)
            assert isinstance(refused, Refusal)
        assert refused.deaf
        for _ in range(50):
            line.send(GOOD)
            [unread] = next_of(clients, 2.0)
            assert isinstance(unread, Refusal)
            assert "nothing is read" in unread.why
        line.send(GOOD)
        assert isinstance(next_of(clients, 2.0 + SILENCE)[0], client.Request)
    sender = f"a client, process {os.getpid()}"
    assert [log["event"] for log in logs] == [
        *["malformed message"] * REFUSALS, "not listened to for a while", "listened to again",
    ]
    assert {log["sender"] for log in logs} == {sender}
    assert logs[-1]["dropped"] == 50


def test_a_message_of_very_many_frames_holds_no_round_up_and_is_refused_once(
    context: Context, clients: Door[client.Request]
) -> None:
    line = dial(context, clients)
    line.send_multipart([b"x"] * (3 * DROPPED_PER_ROUND))
    rounds = [next_of(clients, 1.0)]
    other = dial(context, clients)
    other.send(GOOD)
    while not any(isinstance(message, client.Request) for found in rounds for message in found):
        rounds.append(next_of(clients, 1.0))
    refused = [message for found in rounds for message in found if isinstance(message, Refusal)]
    assert [message.why for message in refused] == ["more than 3 frames instead of 2"]
    assert len(rounds) >= 3


def test_a_round_takes_in_so_many_messages_and_bytes_and_no_more(context: Context, tmp_path: Path) -> None:
    door = Door(context, tmp_path / "small", client_name, client.decode_request, size=10 * len(GOOD))
    line = dial(context, door)
    for _ in range(100):
        line.send(GOOD)
    assert len(next_of(door, 1.0)) <= 10
    assert door.socket.get(zmq.RCVHWM) == UNREAD
    assert FRAMES_PER_ROUND >= UNREAD


def test_a_frame_that_is_too_large_ends_its_connection_and_no_other(
    context: Context, clients: Door[client.Request]
) -> None:
    line, other = dial(context, clients), dial(context, clients)
    monitor = line.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    line.send(bytes(client.LARGEST_REQUEST + 1))
    assert monitor.poll(PATIENCE_MS)
    other.send(GOOD)
    assert isinstance(next_of(clients, 1.0)[0], client.Request)
    line.disable_monitor()
    monitor.close(0)


def test_an_actor_process_is_named_by_its_route_which_is_text(
    context: Context, tmp_path: Path
) -> None:
    door = Door(context, tmp_path / "actors", process_name, actor.decode_from_actor, named=True)
    line = context.socket(zmq.DEALER)
    line.set(zmq.ROUTING_ID, b"\xff\xfe")
    line.connect(f"ipc://{tmp_path / 'actors'}")
    line.send(actor.encode(actor.Ready(1, "sha256:ab")))
    assert door.socket.poll(PATIENCE_MS)
    [(route, message)] = list(door.receive(1.0))
    assert route == b"\xff\xfe"
    assert isinstance(message, Refusal)
