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

from sojourn.hosts.home import Home
from sojourn.hosts.peers.limits import REFUSALS, SILENCE
from sojourn.hosts.reception import DROPPED_PER_ROUND, Reception
from sojourn.hosts.supervisor.doors import LocalDoors
from sojourn.hosts.supervisor.thresholds import Refusal, Threshold
from sojourn.runtime.wire import actor, client
from tests.waiting import wait_until

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


class Entry:
    """A home's doors, and what is read at them."""

    def __init__(self, context: Context, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.home.create()
        self._context = context
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._doors = LocalDoors(context, self.home, self._wake)
        self._clients = Threshold(client.decode_request)
        self._actors = Threshold(actor.decode_from_actor, named=True)

    def clients(self, now: float) -> list[client.Request | Refusal]:
        return [self._clients.read(came, now) for came in self._doors.from_clients()]

    def actors(self, now: float) -> list[actor.FromActor | Refusal]:
        return [self._actors.read(came, now) for came in self._doors.from_actors()]

    def dial(self, path: Path, route: bytes = b"") -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        if route:
            socket.set(zmq.ROUTING_ID, route)
        socket.connect(f"ipc://{path}")
        return socket

    def close(self) -> None:
        os.close(self._wake)


@pytest.fixture
def clients(context: Context, tmp_path: Path) -> Iterator[Entry]:
    entry = Entry(context, tmp_path)
    yield entry
    entry.close()


def dial(context: Context, entry: Entry) -> zmq.Socket[bytes]:
    return entry.dial(entry.home.client_socket)


def next_of(entry: Entry, now: float) -> list[client.Request | Refusal]:
    """Wait until something came and give all of one round."""
    return wait_until(lambda: entry.clients(now), what="something to come")


def test_every_malformed_message_is_refused_and_the_next_one_is_read(
    context: Context, clients: Entry
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
    context: Context, clients: Entry
) -> None:
    with structlog.testing.capture_logs() as logs:
        deaf: list[bool] = []
        for _ in range(REFUSALS):
            dial(context, clients).send(b"\xc1")
            [refused] = next_of(clients, 1.0)
            assert isinstance(refused, Refusal)
            deaf.append(refused.deaf)
        assert deaf == [*[False] * (REFUSALS - 1), True]
        line = dial(context, clients)
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


def test_a_message_of_very_many_frames_is_refused_once_and_others_are_served(
    context: Context, clients: Entry
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


def test_a_round_takes_in_so_many_bytes_and_no_more(context: Context, tmp_path: Path) -> None:
    router, line = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    router.bind(f"ipc://{tmp_path / 'small'}")
    line.connect(f"ipc://{tmp_path / 'small'}")
    reception = Reception(router, most_frames=2, messages=100, size=10 * len(GOOD))
    for _ in range(100):
        line.send(GOOD)
    assert router.poll(PATIENCE_MS)
    assert 0 < len(list(reception.receive())) <= 10


def test_a_frame_that_is_too_large_ends_its_connection_and_no_other(
    context: Context, clients: Entry
) -> None:
    line, other = dial(context, clients), dial(context, clients)
    monitor = line.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    line.send(bytes(client.LARGEST_REQUEST + 1))
    assert monitor.poll(PATIENCE_MS)
    other.send(GOOD)
    assert isinstance(next_of(clients, 1.0)[0], client.Request)
    line.disable_monitor()
    monitor.close(0)


def test_an_actor_process_is_named_by_its_route_which_is_text(clients: Entry) -> None:
    line = clients.dial(clients.home.actors_socket, b"\xff\xfe")
    line.send(actor.encode(actor.Ready(1, "sha256:ab")))
    [message] = wait_until(lambda: clients.actors(1.0), what="something to come")
    assert isinstance(message, Refusal)
    other = clients.dial(clients.home.actors_socket, b"step-1")
    other.send(actor.encode(actor.Ready(1, "sha256:ab")))
    assert wait_until(lambda: clients.actors(1.0), what="a process") == [actor.Ready(1, "sha256:ab")]
