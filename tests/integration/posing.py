"""A socket that poses as a paired host which is down: it has its key, and says what no host would."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

import zmq

from sojourn.hosts.home import Home
from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.runtime.wire import client as wire
from sojourn.runtime.wire.peer import (
    Hello,
    HelloRefused,
    Known,
    PeerMessage,
    Rejected,
    RelayAnswer,
    RelayRequest,
    decode_all,
    encode,
)
from tests.integration.hosting import Host

T = TypeVar("T", bound=PeerMessage)
PATIENCE_MS = 15_000


class Pose:
    """The socket.

    Args:
        socket: connected, greeted or not.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self._next = 1
        self._came: list[PeerMessage] = []

    def send(self, message: PeerMessage) -> bool:
        """Say something; False where the line was cut, and nobody takes it."""
        try:
            self.socket.send(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def heard(self, kind: type[T]) -> T:
        """Give the next message of a kind; others are let go."""
        while self._came or self.socket.poll(PATIENCE_MS):
            self._came = self._came or decode_all(self.socket.recv())
            message = self._came.pop(0)
            if isinstance(message, kind):
                return message
        raise AssertionError(f"no {kind.__name__} came")

    def rejected(self) -> Rejected:
        """Give the next rejection."""
        return self.heard(Rejected)

    def refused(self) -> HelloRefused:
        """Give the next refusal of this host."""
        return self.heard(HelloRefused)

    def ask(self, request: wire.Request) -> wire.Answer:
        """Relay a command and give its answer."""
        self._next += 1
        self.send(RelayRequest(self._next, wire.encode(request), []))
        while True:
            answer = self.heard(RelayAnswer)
            if answer.relay == self._next:
                return wire.decode_answer(answer.answer)

    def closed(self, monitor: zmq.Socket[bytes]) -> bool:
        """Tell whether the connection ended."""
        return bool(monitor.poll(PATIENCE_MS))


@contextmanager
def posing(who: Host, at: Host, *, knows_you: Known | None = None) -> Generator[Pose]:
    """Pose as a host that is down, at one that is up: HELLO was said and answered."""
    store = SqliteStore.open(Home(who.home).store, clock=time.time)
    [row] = [peer for peer in store.peers() if peer.name == at.name]
    hello = Hello(who.name, store.store_id, store.incarnation + 1, 1, 1, run="posing", knows_you=knows_you)
    store.close()
    keys = Keys.load_or_create(Home(who.home).keys)
    assert at.address is not None
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.CURVE_SERVERKEY, row.public_key.encode())
        socket.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
        socket.set(zmq.CURVE_SECRETKEY, keys.secret.encode())
        socket.connect(at.address)
        pose = Pose(socket)
        pose.send(hello)
        pose.heard(Hello)
        yield pose
