"""The connections that stand on a listening socket: whose they are, how many, and what they owe.

ZeroMQ shows a message only when all of it has come, and bounds the size of a frame, not their number: what
a connection has sent without coming to an end is known from the kernel's count. Says which connections are
to be cut; cuts none.
"""

from __future__ import annotations

import resource
import socket as sockets
import struct
from collections.abc import Iterable

import msgspec

from sojourn.hosts.reception import borrowed

LOOK_SECONDS = 0.25
"""How often is looked at what connections owe."""

MOST_OWED = 256 * 1024 * 1024
"""Bytes that a connection may have sent beyond the messages that were read of it: far above what the credit
of several hand-offs and some relayed answers come to."""

MOST_CONNECTIONS = 1000
"""Connections that stand at once, those under way included."""

_FRAME_COST = 64
"""Bytes that CURVE and TCP may add to a frame."""

_QUIET_COST = 256
"""Bytes a second that heartbeats may cost."""

_TCP_INFO_SIZE = 256
_RECEIVED = struct.Struct("Q")
_RECEIVED_AT = 128
"""Place of ``tcpi_bytes_received`` in Linux's ``struct tcp_info`` (since 4.1)."""


def most_connections() -> int:
    """Give how many connections may stand: half of the descriptors that this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, soft // 2)


class Inflow:
    """What came over one connection, and what of it was read.

    Args:
        descriptor: of the connection.
        now: monotonic seconds.
    """

    def __init__(self, descriptor: int, now: float) -> None:
        self._descriptor = descriptor
        self._looked = now
        self._read = 0

    def read(self, size: int) -> None:
        """A message was read whole."""
        self._read += size + _FRAME_COST

    def owes(self, now: float) -> int:
        """Give how many bytes came that weren't read; 0 where the kernel doesn't say."""
        self._read += int((now - self._looked) * _QUIET_COST)
        self._looked = now
        received = _received(self._descriptor)
        # what was reckoned too high for frames must not become a credit
        self._read = min(self._read, received)
        return received - self._read


def _received(descriptor: int) -> int:
    try:
        with borrowed(descriptor) as socket:
            info = socket.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return 0
    if len(info) < _RECEIVED_AT + _RECEIVED.size:
        return 0
    return int(_RECEIVED.unpack_from(info, _RECEIVED_AT)[0])


class _Standing(msgspec.Struct):
    inflow: Inflow
    user: str = ""
    """Who speaks on it; empty until it has said something."""


class Standings:
    """All connections of a listening socket.

    Args:
        most: how many may stand.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._standing: dict[int, _Standing] = {}
        self._silent: dict[int, None] = {}
        """Those that haven't said anything, oldest first."""

    def __len__(self) -> int:
        return len(self._standing)

    def began(self, descriptor: int, now: float) -> int | None:
        """A connection was accepted; give one that has to end for it, if there are too many.

        It is the oldest one that hasn't said anything; where all have, the new one.
        """
        self._standing[descriptor] = _Standing(Inflow(descriptor, now))
        self._silent[descriptor] = None
        if len(self._standing) <= self._most:
            return None
        over = next(iter(self._silent))
        self.ended(over)
        return over

    def ended(self, descriptor: int) -> None:
        """A connection ended."""
        self._standing.pop(descriptor, None)
        self._silent.pop(descriptor, None)

    def spoke(self, descriptor: int, user: str, size: int) -> None:
        """A message came over a connection whose key is known."""
        found = self._standing.get(descriptor)
        if found is not None:
            found.user = user
            found.inflow.read(size)
            self._silent.pop(descriptor, None)

    def of(self, users: Iterable[str]) -> list[int]:
        """Give the connections of some users."""
        wanted = set(users)
        return [number for number, found in self._standing.items() if found.user in wanted]

    def overdue(self, now: float) -> list[tuple[int, str]]:
        """Give the connections that owe too much, and who speaks on them."""
        return [
            (number, found.user) for number, found in self._standing.items()
            if found.inflow.owes(now) > MOST_OWED
        ]
