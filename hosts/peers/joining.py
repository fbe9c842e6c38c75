"""Joining: one connection under an invitation's one-time key, until the other host has answered."""

from __future__ import annotations

import msgspec
import zmq
from zmq.utils.monitor import recv_monitor_message

from sojourn.hosts.peers.checks import against_introduction
from sojourn.hosts.peers.keys import pair_of
from sojourn.hosts.peers.tokens import Token
from sojourn.hosts.peers.tuning import identify, tune
from sojourn.runtime.errors import AccessDenied, NoSupervisor, ProtocolViolation, SojournError
from sojourn.runtime.roles import Role
from sojourn.runtime.wire.peer import Pair, Paired, PairRefused, Rejected, decode, encode

PATIENCE = 15.0
"""Seconds until the other host is given up."""


class Joining:
    """One attempt to pair.

    Args:
        context: of the socket.
        token: the invitation.
        pair: what this host says of itself.
        now: monotonic seconds.
        role: what the other host may do here afterwards; None where nobody said.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], token: Token, pair: Pair, now: float,
        role: Role | None = None,
    ) -> None:
        self.token = token
        self.role = role
        self.deadline = now + PATIENCE
        self._pair = encode(pair)
        self._strange = False
        once = pair_of(token.secret, "the token")
        self._socket = context.socket(zmq.DEALER)
        tune(self._socket)
        self._socket.set(zmq.IPV6, int("[" in token.address))
        identify(self._socket, token.server_key, once.public, once.secret)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        )
        self._socket.connect(token.address)

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Give the sockets to poll."""
        return [self._socket, self._monitor]

    def receive(self, now: float) -> Paired | SojournError | None:
        """Give how it ended; None while it hasn't. ``now`` is monotonic seconds."""
        refused = self._watch()
        if refused is not None:
            return refused
        try:
            return self._answer(self._socket.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            return self._silence() if now > self.deadline else None

    def _watch(self) -> SojournError | None:
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._socket.send(self._pair, zmq.NOBLOCK)  # also after a lost connection
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                return AccessDenied(
                    f"host {self.token.host!r} at {self.token.address} doesn't know this token's key: the "
                    "token is not from it, or its secret is wrong; ask for a new one with `sojourn invite`"
                )
            else:
                self._strange = True
        return None

    def _answer(self, frames: list[bytes]) -> Paired | SojournError:
        token = self.token
        try:
            answer = decode(frames[0]) if len(frames) == 1 else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            answer = None
        if isinstance(answer, PairRefused):
            return AccessDenied(answer.message)
        if isinstance(answer, Rejected):
            return ProtocolViolation(f"host {token.host!r} at {token.address}: {answer.message}")
        if not isinstance(answer, Paired) or against_introduction(answer) is not None:
            return ProtocolViolation(
                f"what answers at {token.address} doesn't pair as a host does: is it of the same version?"
            )
        if answer.host != token.host or answer.public_key != token.server_key:
            return AccessDenied(
                f"the host at {token.address} is not host {token.host!r} of this token any more (it calls "
                f"itself {answer.host!r}): ask for a new one with `sojourn invite`"
            )
        return answer

    def _silence(self) -> SojournError:
        token = self.token
        if self._strange:
            return AccessDenied(
                f"what answers at {token.address} is not host {token.host!r} of this token: ask for a new "
                "one with `sojourn invite`"
            )
        return NoSupervisor(
            f"host {token.host!r} doesn't answer at {token.address}: is it up, and can it be reached "
            "from here?"
        )

    def close(self) -> None:
        """Hang up."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
