"""The sockets of one supervisor's own machine: actor processes and clients; and waiting for anything.

Moves frames and knows nothing of what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import zmq

from sojourn.hosts.home import Home
from sojourn.hosts.peers.limits import BYTES_PER_ROUND
from sojourn.hosts.reception import Incoming, Reception
from sojourn.runtime.wire.client import LARGEST_REQUEST

FRAMES = 2
"""Of a message: the route and the message itself."""

FRAMES_PER_ROUND = 2000
"""Messages of one socket that a round takes in before the others get their turn."""

RESULTS_PER_ROUND = 4 * BYTES_PER_ROUND
"""Bytes of results that a round takes in: what a process sent before it died is read in one."""

UNREAD = 1000
"""Messages of one sender that wait to be read before it is slowed down."""


CLOCK_LOOK = 1.0
"""Seconds after which it is looked whether the wall clock was set, where nothing tells."""


Polled = tuple[zmq.Socket[bytes] | int, ...]


class Came(NamedTuple):
    """What came over a socket.

    Attributes:
        route: whose connection.
        frames: they, without the route.
        complete: False where there were more, which are thrown away.
        sender: gives the name of who sent it, for people and to count by.
    """

    route: bytes
    frames: Sequence[bytes | memoryview]
    complete: bool
    sender: Callable[[], str]


class Doors(Protocol):
    """What a supervisor needs of them."""

    def from_actors(self) -> Iterator[Came]:
        """Give what actor processes sent; their name is the route."""
        ...

    def from_clients(self) -> Iterator[Came]:
        """Give what clients sent."""
        ...

    def to_actor(self, name: str, frame: bytes) -> str | None:
        """Send to an actor process without waiting; give why it can't be reached, if so."""
        ...

    def to_client(self, client: bytes, frame: bytes) -> bool:
        """Send to a client without waiting; False where it is gone."""
        ...

    def wait(
        self, seconds: float, sockets: Iterable[zmq.Socket[bytes]], descriptors: Iterable[int]
    ) -> None:
        """Wait until something comes in here, or there, or the time is over."""
        ...

    def close(self) -> None:
        """Close them; what was sent to clients still gets its moment."""
        ...


class LocalDoors:
    """Two ROUTERs over ipc.

    Args:
        context: of the sockets.
        home: where they are bound.
        wake: descriptor that becomes readable on a signal.
        clock: likewise when the wall clock is set; -1 where nothing tells.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], home: Home, wake: int, clock: int = -1
    ) -> None:
        self._actors = _router(context, f"ipc://{home.actors_socket}")
        self._clients = _router(context, f"ipc://{home.client_socket}")
        self._from_actors = _reception(self._actors, RESULTS_PER_ROUND)
        self._from_clients = _reception(self._clients, BYTES_PER_ROUND)
        self._tellers = (wake,) if clock < 0 else (wake, clock)
        self._longest = CLOCK_LOOK if clock < 0 else None
        self._poller = zmq.Poller()
        self._polled: Polled = ()
        """What it polls."""

    def from_actors(self) -> Iterator[Came]:
        """See ``Doors``."""
        return _came(self._from_actors, process_name)

    def from_clients(self) -> Iterator[Came]:
        """See ``Doors``."""
        return _came(self._from_clients, client_name)

    def to_actor(self, name: str, frame: bytes) -> str | None:
        """See ``Doors``."""
        try:
            self._actors.send_multipart([name.encode(), frame], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            return str(error)
        return None

    def to_client(self, client: bytes, frame: bytes) -> bool:
        """See ``Doors``."""
        try:
            self._clients.send_multipart([client, frame], zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True

    def wait(
        self, seconds: float, sockets: Iterable[zmq.Socket[bytes]], descriptors: Iterable[int]
    ) -> None:
        """See ``Doors``."""
        polled: Polled = (self._actors, self._clients, *sockets, *self._tellers, *descriptors)
        if polled != self._polled:
            self._polled = polled
            self._poller = zmq.Poller()
            for each in polled:
                self._poller.register(each, zmq.POLLIN)
        if self._longest is not None:
            seconds = min(seconds, self._longest)
        ready = self._poller.poll(int(seconds * 1000) + (1 if seconds % 0.001 else 0))
        for descriptor in self._tellers:
            if any(told == descriptor for told, _ in ready):
                try:
                    os.read(descriptor, 64)
                except OSError:  # that the clock was set, which is an error to read
                    continue

    def close(self) -> None:
        """See ``Doors``."""
        self._clients.close(500)
        self._actors.close(0)


def client_name(incoming: Incoming) -> str:
    """Name a client, by its process where the kernel tells: it may connect as often as it likes."""
    process = incoming.process
    return f"a client, process {process}" if process else f"a client, {incoming.frames[0].bytes.hex()}"


def process_name(incoming: Incoming) -> str:
    """Name an actor process, or whatever claims to be one."""
    return f"an actor process, {incoming.frames[0].bytes[:64].decode(errors='replace')}"


def _came(reception: Reception, who: Callable[[Incoming], str]) -> Iterator[Came]:
    for incoming in reception.receive():
        route, *frames = incoming.frames
        yield Came(
            route.bytes, [frame.buffer for frame in frames], incoming.complete, partial(who, incoming)
        )


def _reception(socket: zmq.Socket[bytes], size: int) -> Reception:
    return Reception(socket, most_frames=FRAMES, messages=FRAMES_PER_ROUND, size=size)


def _router(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.ROUTER)
    socket.set(zmq.ROUTER_MANDATORY, 1)
    socket.set(zmq.SNDHWM, 0)
    socket.set(zmq.RCVHWM, UNREAD)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.MAXMSGSIZE, LARGEST_REQUEST)
    socket.bind(endpoint)
    return socket
