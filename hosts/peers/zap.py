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

PEER = "peer:"
"""Prefix of the user id of a paired host's key."""

REQUESTS_PER_ROUND = 256


class Gatekeeper:
    """Answers ZAP requests from what it knows of keys.

    A ROUTER and no REP, which would be stuck after an answer that could not be sent. Nothing ends it but
    ``close``: what goes wrong with one request refuses that one.

    Args:
        context: the sockets' context.
        on_refused: called with the key that was refused.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], on_refused: Callable[[str], None]
    ) -> None:
        self.socket = context.socket(zmq.ROUTER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.bind(ENDPOINT)
        self._users: dict[str, str] = {}
        self._on_refused = on_refused
        self.faults = 0
        """How often something went wrong that shouldn't."""

    def admit(self, public_key: str, user: str) -> None:
        """Let a key in under a user id."""
        self._users[public_key] = user

    def expel(self, public_key: str) -> None:
        """Let a key in no more; connections that stand already stay."""
        self._users.pop(public_key, None)

    def receive(self) -> None:
        """Answer the requests that wait."""
        for _ in range(REQUESTS_PER_ROUND):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._serve(frames)
            except Exception as error:  # noqa: BLE001 - a fault lets nobody in and keeps nobody out
                self._fault(frames, error)

    def _serve(self, frames: list[bytes]) -> None:
        if len(frames) < 2 or frames[1] != b"":
            self._on_refused("(malformed request)")
            return
        self.socket.send_multipart([*frames[:2], *self._answer(frames[2:])], zmq.NOBLOCK)

    def _fault(self, frames: list[bytes], error: Exception) -> None:
        """Something went wrong, the log included: who asked is refused, and the next one is served."""
        self.faults += 1
        try:
            sequence = [*frames, b"", b"", b"", b""][3]
            self.socket.send_multipart(
                [*frames[:2], b"1.0", sequence, b"500", b"fault", b"", b""], zmq.NOBLOCK
            )
            self._on_refused(f"(fault: {error})")
        except Exception:  # noqa: BLE001 - nobody is left to tell
            return

    def _answer(self, request: list[bytes]) -> list[bytes]:
        version, sequence = [*request, b"", b""][:2]
        if len(request) != 7 or version != b"1.0" or request[2] != DOMAIN:
            self._on_refused("(malformed request)")
            return [b"1.0", sequence, b"400", b"malformed", b"", b""]
        mechanism, credentials = request[5:]
        if mechanism != b"CURVE" or len(credentials) != 32:
            self._on_refused("(no CURVE key)")
            return [b"1.0", sequence, b"400", b"CURVE only", b"", b""]
        key = z85.encode(credentials).decode()
        user = self._users.get(key)
        if user is None:
            self._on_refused(key)
            return [b"1.0", sequence, b"400", b"unknown key", b"", b""]
        return [b"1.0", sequence, b"200", b"", user.encode(), b""]
