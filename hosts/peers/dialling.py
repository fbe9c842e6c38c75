"""The socket on which this host dials one peer, and in which state that connection is.

Whether a HELLO is acceptable is decided elsewhere (``links``).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto

import zmq
from zmq.utils.monitor import recv_monitor_message

from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.limits import BYTES_PER_ROUND, FRAMES_PER_ROUND
from sojourn.hosts.peers.standing import LOOK_SECONDS, Flow
from sojourn.hosts.peers.tuning import identify, tune
from sojourn.hosts.reception import Incoming, Reception

HELLO_AGAIN = 2.0
"""Seconds after which an unanswered HELLO is sent again."""

_EVENTS_PER_ROUND = 1000
FAREWELL_MS = 500
"""Milliseconds that last words may take."""

_WATCHED = (
    zmq.EVENT_CONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


KEY_REFUSED = (
    "it refuses this host's key: it revoked it (`sojourn peers revoke`), or was made anew; pair again with "
    "`sojourn invite` there and `sojourn join` here"
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

    Attributes:
        refusal: why the peer doesn't speak with this host, as far as it said; empty where it does.

    Raises:
        zmq.ZMQError: if the address or the key can't be used.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], keys: Keys, address: str, public_key: str
    ) -> None:
        self.address = address
        self.public_key = public_key
        self.state = Line.DIALLING
        self.refusal = ""
        self._hello_due = 0.0
        self._flow: Flow | None = None
        self._next_look = 0.0
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
        self._reception = Reception(
            self.socket, most_frames=1, messages=FRAMES_PER_ROUND, size=BYTES_PER_ROUND
        )

    def watch(self, now: float) -> list[Turned]:
        """Follow the connection; give what has to be told. ``now`` is monotonic seconds."""
        turned: list[Turned] = []
        for _ in range(_EVENTS_PER_ROUND):
            if not self.monitor.poll(0):
                break
            told = recv_monitor_message(self.monitor)
            event = told["event"]
            if event == zmq.EVENT_CONNECTED:
                self._flow = Flow(told["value"], now)
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.state, self._hello_due = Line.SHAKEN, 0.0
                self.refusal = ""
            elif event == zmq.EVENT_DISCONNECTED:
                self._flow = None
                if self.state is Line.UP:
                    turned.append(Turned.LOST)
                self.state = Line.DIALLING
            else:
                if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                    self.refusal = self.refusal or KEY_REFUSED
                turned.append(Turned.KEY_REFUSED)
        return turned

    def overdue(self, now: float) -> str:
        """Say what is wrong with the connection, so that it has to end; empty where nothing is."""
        if self._flow is None or now < self._next_look:
            return ""
        self._next_look = now + LOOK_SECONDS
        return self._flow.overdue(now)

    def next_look(self) -> float | None:
        """Give the monotonic time at which ``overdue`` is to be asked."""
        return None if self._flow is None else self._next_look

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
        if self._flow is not None:
            self._flow.sent(len(frame))
        return True

    def receive(self) -> Iterator[Incoming]:
        """Give what waits."""
        for incoming in self._reception.receive():
            if self._flow is not None:
                self._flow.read(incoming.size)
            yield incoming

    def close(self, *, farewell: bool = False) -> None:
        """Hang up; with a farewell, once what was sent has had time to leave."""
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(FAREWELL_MS if farewell else 0)
