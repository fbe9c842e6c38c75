"""The connections that stand on a listening socket: whose they are, how many, and what is under way.

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
"""Bytes that a connection may have sent beyond the messages that were read of it, and that may wait for its
other side: far above what the credit of several hand-offs and some relayed answers come to."""

MOST_CONNECTIONS = 1000
"""Connections that stand at once, those under way included."""

_FRAME_COST = 64
"""Bytes that CURVE and TCP may add to a frame."""

_QUIET_COST = 256
"""Bytes a second that heartbeats may cost."""

_TCP_INFO_SIZE = 256
_COUNTED = struct.Struct("2Q")
_COUNTED_AT = 120
"""Place of ``tcpi_bytes_acked`` and ``tcpi_bytes_received`` in Linux's ``struct tcp_info`` (since 4.1)."""

ENDLESS = "endless message"
UNREAD = "doesn't read its answers"


def most_connections() -> int:
    """Give how many connections may stand: half of the descriptors that this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, soft // 2)


class Flow:
    """What went over one connection: what came and wasn't read, what was sent and isn't there yet.

    Args:
        descriptor: of the connection.
        now: monotonic seconds.
    """

    def __init__(self, descriptor: int, now: float) -> None:
        self._descriptor = descriptor
        self._looked = now
        self._read = 0
        self._sent = 0

    def read(self, size: int) -> None:
        """A message was read whole."""
        self._read += size + _FRAME_COST

    def sent(self, size: int) -> None:
        """A message was given to ZeroMQ."""
        self._sent += size

    def overdue(self, now: float) -> str:
        """Say what is wrong with it; empty where nothing is, or the kernel doesn't tell.

        Args:
            now: monotonic seconds.
        """
        self._read += int((now - self._looked) * _QUIET_COST)
        self._looked = now
        counted = _counted(self._descriptor)
        if counted is None:
            return ""
        acknowledged, received = counted
        # what was reckoned too high for frames must not become a credit
        self._read = min(self._read, received)
        if received - self._read > MOST_OWED:
            return ENDLESS
        return UNREAD if self._sent - acknowledged > MOST_OWED else ""


def _counted(descriptor: int) -> tuple[int, int] | None:
    """Give how many bytes a connection's other side has acknowledged, and how many came from it."""
    try:
        with borrowed(descriptor) as socket:
            info = socket.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return None
    if len(info) < _COUNTED_AT + _COUNTED.size:
        return None
    acknowledged, received = _COUNTED.unpack_from(info, _COUNTED_AT)
    return int(acknowledged), int(received)


class _Standing(msgspec.Struct):
    """One connection; ``user`` and ``route`` are empty until it has said something."""

    flow: Flow
    user: str = ""
    route: bytes = b""


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
        self._routes: dict[bytes, _Standing] = {}

    def __len__(self) -> int:
        return len(self._standing)

    def began(self, descriptor: int, now: float) -> int | None:
        """A connection was accepted; give one that has to end for it, if there are too many.

        It is the oldest one that hasn't said anything; where all have, the new one.
        """
        self._standing[descriptor] = _Standing(Flow(descriptor, now))
        self._silent[descriptor] = None
        if len(self._standing) <= self._most:
            return None
        over = next(iter(self._silent))
        self.ended(over)
        return over

    def ended(self, descriptor: int) -> None:
        """A connection ended."""
        found = self._standing.pop(descriptor, None)
        self._silent.pop(descriptor, None)
        if found is not None:
            self._routes.pop(found.route, None)

    def spoke(self, descriptor: int, route: bytes, user: str, size: int) -> None:
        """A message came over a connection whose key is known."""
        found = self._standing.get(descriptor)
        if found is not None:
            found.user, found.route = user, route
            self._routes[route] = found
            found.flow.read(size)
            self._silent.pop(descriptor, None)

    def wrote(self, route: bytes, size: int) -> None:
        """A message was sent over a connection."""
        found = self._routes.get(route)
        if found is not None:
            found.flow.sent(size)

    def of(self, users: Iterable[str]) -> list[int]:
        """Give the connections of some users."""
        wanted = set(users)
        return [number for number, found in self._standing.items() if found.user in wanted]

    def overdue(self, now: float) -> list[tuple[int, str, str]]:
        """Give the connections that owe too much, who speaks on them, and what is wrong."""
        found = [
            (number, standing.user, standing.flow.overdue(now))
            for number, standing in self._standing.items()
        ]
        return [entry for entry in found if entry[2]]
