"""Reading a ZeroMQ socket within bounds: frames of a message, messages and bytes of one round.

Knows where a message came from as far as the kernel does, and can end the connection that it came over.
Knows nothing of what messages say. A frame's own size is bounded by ZeroMQ (``MAXMSGSIZE``).
"""

from __future__ import annotations

import errno
import socket as sockets
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import zmq

DROPPED_PER_ROUND = 50_000
"""Frames of a message with too many that a round throws away."""

_CREDENTIALS = struct.Struct("3i")


class Incoming:
    """One message.

    Args:
        frames: they, ``most + 1`` at most.
        size: bytes of them.
        complete: False where it had more frames, which are thrown away.
    """

    __slots__ = ("complete", "frames", "size")

    def __init__(self, frames: list[zmq.Frame], size: int, *, complete: bool) -> None:
        self.frames = frames
        self.size = size
        self.complete = complete

    @property
    def descriptor(self) -> int:
        """Descriptor of the connection that it came over, which may have been closed; -1 for none."""
        try:
            return int(self.frames[-1].get(zmq.SRCFD))
        except (zmq.ZMQError, ValueError):
            return -1

    @property
    def process(self) -> int:
        """Process id of who connected to a socket of this machine; 0 where that isn't known."""
        try:
            with borrowed(self.descriptor) as socket:
                if socket.family != sockets.AF_UNIX:
                    return 0
                found = socket.getsockopt(
                    sockets.SOL_SOCKET, sockets.SO_PEERCRED, _CREDENTIALS.size
                )
        except OSError:
            return 0
        return int(_CREDENTIALS.unpack(found)[0])


class Reception:
    """Reads one socket.

    Args:
        socket: it.
        most_frames: frames of a message, a ROUTER's routing id included.
        messages: how many are read in a round.
        size: bytes after which a round reads no more of it.
    """

    def __init__(
        self, socket: zmq.Socket[bytes], *, most_frames: int, messages: int, size: int
    ) -> None:
        self._socket = socket
        self._most_frames = most_frames
        self._messages = messages
        self._size = size
        self._dropping = False
        """Whether the rest of a message is being thrown away."""

    def receive(self) -> Iterator[Incoming]:
        """Give what waits, as far as a round takes it in."""
        left = self._size
        for _ in range(self._messages):
            if left <= 0 or (self._dropping and not self._drop()):
                return
            try:
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            message = self._rest(frame)
            left -= message.size
            yield message

    def _rest(self, frame: zmq.Frame) -> Incoming:
        """Read the other frames of a message; all of them are there once its first one is."""
        frames, size = [frame], len(frame)
        while frames[-1].more and len(frames) <= self._most_frames:
            frames.append(self._socket.recv(copy=False))
            size += len(frames[-1])
        self._dropping = bool(frames[-1].more)
        return Incoming(frames, size, complete=not self._dropping)

    def _drop(self) -> bool:
        """Throw the rest of a message away; False where more is left of it for the next round."""
        for _ in range(DROPPED_PER_ROUND):
            if not self._socket.recv(copy=False).more:
                self._dropping = False
                return True
        return False


def cut(descriptor: int, local: str | int) -> bool:
    """End a connection that came to a listening socket; ZeroMQ, whose it is, notices and closes it.

    Args:
        descriptor: of the connection.
        local: path or port that the socket listens on. Where the connection has ended and its number is
            another's, that one is left alone, unless it came to the same place: its other side comes again.

    Returns:
        Whether there was one.
    """
    try:
        with borrowed(descriptor) as socket:
            name = socket.getsockname()
            if local != (name[1] if isinstance(name, tuple) else name):
                return False
            socket.shutdown(sockets.SHUT_RDWR)
    except OSError:
        return False
    return True


@contextmanager
def borrowed(descriptor: int) -> Generator[sockets.socket]:
    """Look at a connection that is someone else's, without a descriptor of one's own: none may be left.

    Raises:
        OSError: if it is no connection any more.
    """
    if descriptor < 0:
        raise OSError(errno.EBADF, "no descriptor")
    socket = sockets.socket(fileno=descriptor)
    try:
        yield socket
    finally:
        socket.detach()
