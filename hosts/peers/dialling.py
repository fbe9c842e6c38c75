"""The socket on which this host dials one peer, and in which state that connection is.

Whether a HELLO is acceptable is decided elsewhere (``links``).
"""

from __future__ import annotations

from enum import Enum, auto

import zmq
from zmq.utils.monitor import recv_monitor_message

from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.tuning import identify, tune

HELLO_AGAIN = 2.0
"""Seconds after which an unanswered HELLO is sent again."""

_EVENTS_PER_ROUND = 1000
_WATCHED = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Line(Enum):
    """How far a connection has come."""

    DIALLING = auto()
    SHAKEN = auto()
    """The keys fit; HELLO isn't answered yet."""
    UP = auto()
    REFUSED = auto()
    """One side refused the other's HELLO: it stays so until the next connection."""


class Turned(Enum):
    """What happened to a connection."""

    LOST = auto()
    KEY_REFUSED = auto()


class Dialled:
    """A connection that this host opens, and opens again, to one peer.

    Args:
        context: of the socket.
        keys: this host's.
        address: where the peer listens.
        public_key: the peer's.

    Raises:
        zmq.ZMQError: if the address or the key can't be used.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], keys: Keys, address: str, public_key: str
    ) -> None:
        self.address = address
        self.public_key = public_key
        self.state = Line.DIALLING
        self._hello_due = 0.0
        self.socket = context.socket(zmq.DEALER)
        try:
            tune(self.socket)
            self.socket.set(zmq.IPV6, int("[" in address))
            identify(self.socket, public_key, keys.public, keys.secret)
            self.monitor = self.socket.get_monitor_socket(_WATCHED)
            self.socket.connect(address)
        except zmq.ZMQError:
            self.socket.close(0)
            raise

    def watch(self) -> list[Turned]:
        """Follow the connection; give what has to be told."""
        turned: list[Turned] = []
        for _ in range(_EVENTS_PER_ROUND):
            if not self.monitor.poll(0):
                break
            event = recv_monitor_message(self.monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.state, self._hello_due = Line.SHAKEN, 0.0
            elif event == zmq.EVENT_DISCONNECTED:
                if self.state is Line.UP:
                    turned.append(Turned.LOST)
                self.state = Line.DIALLING
            else:
                turned.append(Turned.KEY_REFUSED)
        return turned

    def hello_due(self) -> float | None:
        """Give the monotonic time at which HELLO is to be sent (again)."""
        return self._hello_due if self.state is Line.SHAKEN else None

    def say_hello(self, frame: bytes, now: float) -> None:
        """Send HELLO; one that gets lost is sent again."""
        self._hello_due = now + HELLO_AGAIN
        self.send(frame)

    def send(self, frame: bytes) -> bool:
        """Send without waiting; False where too much waits already."""
        try:
            self.socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self) -> list[zmq.Frame] | None:
        """Give the frames of one message; None if none waits."""
        try:
            return self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None

    def close(self) -> None:
        """Hang up."""
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(0)
