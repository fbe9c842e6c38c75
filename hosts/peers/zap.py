"""Who may connect: the ZAP handler (ZeroMQ RFC 27) that every CURVE handshake asks.

A server without it admits everybody. A request that is malformed is refused; it never ends the handler.
"""

from __future__ import annotations

from collections.abc import Callable

import zmq
from zmq.utils import z85

ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"sojourn"
INVITE = "invite:"
"""Prefix of the user id of a connection under an invitation's one-time key."""


class Gatekeeper:
    """Answers ZAP requests from what it knows of keys.

    Args:
        context: the sockets' context.
        on_refused: called with the key that was refused.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], on_refused: Callable[[str], None]
    ) -> None:
        self.socket = context.socket(zmq.REP)
        self.socket.set(zmq.LINGER, 0)
        self.socket.bind(ENDPOINT)
        self._users: dict[str, str] = {}
        self._on_refused = on_refused

    def admit(self, public_key: str, user: str) -> None:
        """Let a key in under a name."""
        self._users[public_key] = user

    def receive(self) -> None:
        """Answer every request that waits."""
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.socket.send_multipart(self._answer(frames))

    def _answer(self, frames: list[bytes]) -> list[bytes]:
        version, sequence = (frames + [b"", b""])[:2]
        if len(frames) != 7 or version != b"1.0" or frames[5] != b"CURVE" or len(frames[6]) != 32:
            self._on_refused("(malformed request)")
            return [b"1.0", sequence, b"400", b"malformed", b"", b""]
        key = z85.encode(frames[6]).decode()
        user = self._users.get(key)
        if user is None:
            self._on_refused(key)
            return [b"1.0", sequence, b"400", b"unknown key", b"", b""]
        return [b"1.0", sequence, b"200", b"", user.encode(), b""]
