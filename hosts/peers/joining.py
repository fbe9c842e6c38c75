"""Joining: one connection under an invitation's one-time key, until the other host has answered."""

from __future__ import annotations

import msgspec
import zmq
from zmq.utils.monitor import recv_monitor_message

from sojourn.hosts.peers.keys import pair_of
from sojourn.hosts.peers.limits import LARGEST_FRAME
from sojourn.hosts.peers.tokens import Token
from sojourn.runtime.errors import AccessDenied, NoSupervisor, ProtocolViolation, SojournError
from sojourn.runtime.wire.peer import Pair, Paired, PairRefused, decode, encode

PATIENCE = 15.0
"""Seconds until the other host is given up."""


class Joining:
    """One attempt to pair.

    Args:
        context: of the socket.
        token: the invitation.
        pair: what this host says of itself.
        now: monotonic seconds.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], token: Token, pair: Pair, now: float
    ) -> None:
        self.token = token
        self.deadline = now + PATIENCE
        once = pair_of(token.secret, "the token")
        self._socket = context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.MAXMSGSIZE, LARGEST_FRAME)
        self._socket.set(zmq.CURVE_SERVERKEY, token.server_key.encode())
        self._socket.set(zmq.CURVE_PUBLICKEY, once.public.encode())
        self._socket.set(zmq.CURVE_SECRETKEY, once.secret.encode())
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        )
        self._socket.connect(token.address)
        self._socket.send(encode(pair))

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Give the sockets to poll."""
        return [self._socket, self._monitor]

    def receive(self, now: float) -> Paired | SojournError | None:
        """Give how it ended; None while it hasn't."""
        token = self.token
        while self._monitor.poll(0):
            recv_monitor_message(self._monitor)
            return AccessDenied(
                f"host {token.host!r} at {token.address} doesn't know this token's key: the token is not "
                "from it, or its secret is wrong; ask for a new one with `sojourn invite`"
            )
        if self._socket.poll(0):
            try:
                answer = decode(self._socket.recv())
            except msgspec.DecodeError as error:
                return ProtocolViolation(f"host {token.host!r} answered something malformed: {error}")
            if isinstance(answer, Paired):
                return answer
            if isinstance(answer, PairRefused):
                return AccessDenied(answer.message)
        if now > self.deadline:
            return NoSupervisor(
                f"host {token.host!r} doesn't answer at {token.address}: is it up, and can it be reached "
                "from here?"
            )
        return None

    def close(self) -> None:
        """Hang up."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
