"""Whom this host knows by key: who may connect, who speaks on a connection, and whom to tell of a refusal.

A connection is known by the key that it was opened under, for as long as it stands: a name that another key
gets later is no right of it. Sends and receives nothing but the answers to ZeroMQ's own question.
"""

from __future__ import annotations

from collections.abc import Callable

import zmq

from sojourn.hosts.peers.limits import Strangers
from sojourn.hosts.peers.zap import INVITE, PEER, Gatekeeper


class Admission:
    """Keys and whose they are.

    Args:
        context: the sockets' context.
        on_refused: called with (kind, detail) for the log.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], on_refused: Callable[[str, str], None]
    ) -> None:
        self._on_refused = on_refused
        self._strangers = Strangers()
        self._names: dict[str, str] = {}
        """public key → name of the paired host."""
        self._now = 0.0
        self._gate = Gatekeeper(context, self._turned_away)
        self.socket = self._gate.socket

    def receive(self, now: float) -> None:
        """Answer who asks to connect. ``now`` is monotonic seconds."""
        self._now = now
        self._gate.receive()

    def admit_invited(self, key: str) -> None:
        """Let an invitation's key in."""
        self._gate.admit(key, INVITE + key)

    def admit_peer(self, key: str, name: str) -> None:
        """Let a paired host in."""
        self._names[key] = name
        self._gate.admit(key, PEER + key)

    def expel(self, key: str) -> None:
        """Let a paired host's key in no more; what its connections still send is nobody's."""
        self._names.pop(key, None)
        self._gate.expel(key)

    def name_of(self, user: str) -> str | None:
        """Give the paired host that speaks on a connection; None where its key is none's (any more)."""
        return self._names.get(user.removeprefix(PEER)) if user.startswith(PEER) else None

    def _turned_away(self, key: str) -> None:
        self.tell("unknown key", key)

    def tell(self, kind: str, who: str) -> None:
        """Log a refusal, but not each one of someone who knocks again and again."""
        line = self._strangers.knocked(f"{kind} {who}", self._now)
        if line is not None:
            self._on_refused(kind, line.removeprefix(f"{kind} "))

    def close(self) -> None:
        """Ask nobody any more."""
        self._gate.socket.close(0)
