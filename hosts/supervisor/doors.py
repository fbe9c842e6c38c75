"""The sockets of one supervisor's own machine: actor processes and clients; and waiting for anything.

Moves frames and knows nothing of what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Protocol

import zmq

from sojourn.hosts.home import Home
from sojourn.runtime.wire.client import LARGEST_REQUEST

FRAMES_PER_ROUND = 2000
"""How many frames of one socket a round takes in before the others get their turn."""


class Doors(Protocol):
    """What a supervisor needs of them."""

    def from_actors(self) -> Iterator[list[bytes]]:
        """Give what actor processes sent: their name, then the message."""
        ...

    def from_clients(self) -> Iterator[list[bytes]]:
        """Give what clients sent: the connection's id, then the request."""
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
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], home: Home, wake: int) -> None:
        self._actors = _router(context, f"ipc://{home.actors_socket}")
        self._clients = _router(context, f"ipc://{home.client_socket}")
        self._wake = wake

    def from_actors(self) -> Iterator[list[bytes]]:
        """See ``Doors``."""
        return _drain(self._actors)

    def from_clients(self) -> Iterator[list[bytes]]:
        """See ``Doors``."""
        return _drain(self._clients)

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
        poller = zmq.Poller()
        for socket in (self._actors, self._clients, *sockets):
            poller.register(socket, zmq.POLLIN)
        for descriptor in (self._wake, *descriptors):
            poller.register(descriptor, zmq.POLLIN)
        poller.poll(int(seconds * 1000) + (1 if seconds % 0.001 else 0))
        try:
            os.read(self._wake, 64)
        except BlockingIOError:
            return

    def close(self) -> None:
        """See ``Doors``."""
        self._clients.close(500)
        self._actors.close(0)


def _drain(socket: zmq.Socket[bytes]) -> Iterator[list[bytes]]:
    for _ in range(FRAMES_PER_ROUND):
        try:
            yield socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return


def _router(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.ROUTER)
    socket.set(zmq.ROUTER_MANDATORY, 1)
    socket.set(zmq.SNDHWM, 0)
    socket.set(zmq.RCVHWM, 0)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.MAXMSGSIZE, LARGEST_REQUEST)
    socket.bind(endpoint)
    return socket
