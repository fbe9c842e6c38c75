"""Socket options that every connection between hosts has."""

from __future__ import annotations

import zmq

from sojourn.hosts.peers.limits import LARGEST_FRAME

HEARTBEAT_MS = 2000
HEARTBEAT_TIMEOUT_MS = 4000
RECONNECT_MS = 100
RECONNECT_MAX_MS = 2000
QUEUE = 10_000
"""Messages that wait for one peer before sending fails."""

UNREAD = 1000
"""Messages of one peer that wait to be read before it is slowed down by TCP."""

HANDSHAKE_MS = 10_000
"""How long a stranger may take to show its key."""


def tune(socket: zmq.Socket[bytes]) -> None:
    """Bound what a socket takes in and holds, and let it notice that the other side is gone."""
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.SNDHWM, QUEUE)
    socket.set(zmq.RCVHWM, UNREAD)
    socket.set(zmq.MAXMSGSIZE, LARGEST_FRAME)
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.set(zmq.HEARTBEAT_TTL, HEARTBEAT_MS + HEARTBEAT_TIMEOUT_MS)
    socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)


def identify(socket: zmq.Socket[bytes], server: str, public: str, secret: str) -> None:
    """Make a socket a CURVE client: the server's key, then the own pair, in Z85."""
    socket.set(zmq.CURVE_SERVERKEY, server.encode())
    socket.set(zmq.CURVE_PUBLICKEY, public.encode())
    socket.set(zmq.CURVE_SECRETKEY, secret.encode())
