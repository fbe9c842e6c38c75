"""The sockets of this machine, for clients and for actor processes: read within bounds, decoded, refused.

What is malformed is counted, logged with who sent it, and changes nothing; who goes on sending it isn't
listened to for a while. What a message means, and who is answered, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec
import structlog
import zmq

from sojourn.hosts.peers.limits import BYTES_PER_ROUND, SILENCE, Refusals
from sojourn.hosts.reception import Incoming, Reception
from sojourn.runtime.wire.client import LARGEST_REQUEST

T = TypeVar("T")

FRAMES = 2
"""Of a message: the route and the message itself."""

FRAMES_PER_ROUND = 2000
"""Messages of one socket that a round takes in before the others get their turn."""

RESULTS_PER_ROUND = 4 * BYTES_PER_ROUND
"""Bytes of results that a round takes in: what a process sent before it died is read in one."""

UNREAD = 1000
"""Messages of one sender that wait to be read before it is slowed down."""


class Refusal(NamedTuple):
    """A message that was refused.

    Attributes:
        why: what was wrong; it wasn't even looked at where its sender isn't listened to.
        deaf: whether its sender isn't listened to from now on.
    """

    why: str
    deaf: bool


class Door(Generic[T]):
    """A ROUTER on a path.

    Args:
        context: of the socket.
        path: where it listens.
        who: gives the name of who sent something, for the log and to count by.
        decode: reads a message, or raises ``msgspec.DecodeError``.
        named: whether routes are names, in UTF-8.
        size: bytes after which a round reads no more.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], path: Path, who: Callable[[Incoming], str],
        decode: Callable[[memoryview], T], *, named: bool = False, size: int = BYTES_PER_ROUND,
    ) -> None:
        self.socket = context.socket(zmq.ROUTER)
        self.socket.set(zmq.ROUTER_MANDATORY, 1)
        self.socket.set(zmq.SNDHWM, 0)
        self.socket.set(zmq.RCVHWM, UNREAD)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.MAXMSGSIZE, LARGEST_REQUEST)
        self.socket.bind(f"ipc://{path}")
        self._reception = Reception(
            self.socket, most_frames=FRAMES, messages=FRAMES_PER_ROUND, size=size
        )
        self._named = named
        self._who = who
        self._decode = decode
        self._refusals = Refusals()

    def receive(self, now: float) -> Iterator[tuple[bytes, T | Refusal]]:
        """Give what came, and from which route. ``now`` is monotonic seconds."""
        for incoming in self._reception.receive():
            route = incoming.frames[0].bytes
            yield route, self._read(route, incoming, now)

    def _read(self, route: bytes, incoming: Incoming, now: float) -> T | Refusal:
        if self._refusals.total:  # else nobody was ever refused anything
            who = self._who(incoming)
            if self._refusals.silenced(who, now):
                return Refusal(f"too much of it was: nothing is read for {SILENCE:g} s", deaf=False)
            unheard = self._refusals.unheard(who)
            if unheard:
                structlog.get_logger().warning("listened to again", sender=who, dropped=unheard)
        count = len(incoming.frames)
        if count != FRAMES:
            beyond = "" if incoming.complete else "more than "
            return self._refuse(incoming, f"{beyond}{count} frames instead of {FRAMES}", now)
        try:
            if self._named:
                route.decode()
            return self._decode(incoming.frames[1].buffer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return self._refuse(incoming, str(error), now)

    def _refuse(self, incoming: Incoming, why: str, now: float) -> Refusal:
        who, log = self._who(incoming), structlog.get_logger()
        deaf = self._refusals.refused(who, now)
        log.warning("malformed message", sender=who, error=why, refused_so_far=self._refusals.total)
        if deaf:
            log.warning("not listened to for a while", sender=who, refused=self._refusals.count(who))
        return Refusal(why, deaf)

    def send(self, route: bytes, frame: bytes) -> None:
        """Send without waiting.

        Raises:
            zmq.ZMQError: if there is nobody.
        """
        self.socket.send_multipart([route, frame], zmq.NOBLOCK)


def client_name(incoming: Incoming) -> str:
    """Name a client, by its process where the kernel tells: it may connect as often as it likes."""
    process = incoming.process
    return f"a client, process {process}" if process else f"a client, {incoming.frames[0].bytes.hex()}"


def process_name(incoming: Incoming) -> str:
    """Name an actor process, or whatever claims to be one."""
    return f"an actor process, {incoming.frames[0].bytes[:64].decode(errors='replace')}"
