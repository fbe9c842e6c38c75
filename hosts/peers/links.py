"""The connections to paired hosts: one listening socket, one dialling socket per peer with an address.

ZeroMQ is taken for a datagram pipe: what is sent may be lost on a reconnect, and whoever needs more repeats
it. HELLO is exchanged at every connection, so that a restart of the other side is seen. Who speaks is
known from the key (ZAP's user id), never from what a message says.
"""

from __future__ import annotations

import socket as sockets
from collections.abc import Callable, Iterable

import msgspec
import zmq
from zmq.utils.monitor import recv_monitor_message

from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.limits import FRAMES_PER_ROUND, LARGEST_FRAME, Refusals
from sojourn.hosts.peers.zap import DOMAIN, INVITE, Gatekeeper
from sojourn.runtime.errors import AccessDenied, HostUnable, ProtocolViolation
from sojourn.runtime.job import InviteRow, PeerRow
from sojourn.runtime.wire.peer import (
    PROTOCOL_VERSIONS,
    Hello,
    HelloRefused,
    Pair,
    PeerMessage,
    Rejected,
    decode,
    encode,
)

KEEPALIVE = 5.0
"""Seconds between two HELLOs to a peer that only dials us: a send that fails tells that it is gone."""

HEARTBEAT_MS = 2000
RECONNECT_MS = 100
RECONNECT_MAX_MS = 2000


class Received(msgspec.Struct, frozen=True):
    """A message of a paired host."""

    peer: str
    message: PeerMessage


class LinkUp(msgspec.Struct, frozen=True):
    """A paired host can be reached (again)."""

    peer: str
    hello: Hello


class PairRequested(msgspec.Struct, frozen=True):
    """Someone with an invitation's key wants to pair; ``route`` is where the answer goes."""

    invite_key: str
    pair: Pair
    route: bytes


PeerEvent = Received | LinkUp | PairRequested


class _Dialled:
    """The socket on which this host dials one peer."""

    def __init__(self, socket: zmq.Socket[bytes], monitor: zmq.Socket[bytes], address: str) -> None:
        self.socket = socket
        self.monitor = monitor
        self.address = address
        self.shaken = False
        self.up = False


class PeerLinks:
    """All connections to peers.

    Args:
        context: their context.
        own: what this host says of itself in HELLO; its address is filled in after the bind.
        keys: this host's.
        listen: where to listen; None to dial only.
        peers: paired hosts.
        invites: invitations, used ones included.
        on_refused: called with (kind, detail) for the log.

    Raises:
        HostUnable: if the address can't be listened on.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        own: Hello,
        keys: Keys,
        listen: str | None,
        peers: Iterable[PeerRow],
        invites: Iterable[InviteRow],
        on_refused: Callable[[str, str], None],
    ) -> None:
        self._context = context
        self._keys = keys
        self._on_refused = on_refused
        self._gate = Gatekeeper(context, lambda key: on_refused("unknown key", key))
        self._refusals = Refusals()
        self._peers: dict[str, PeerRow] = {}
        self._dialled: dict[str, _Dialled] = {}
        self._routes: dict[str, bytes] = {}
        """peer → routing id of the connection that it dialled."""
        self._hellos: dict[str, Hello] = {}
        self._next_keepalive = 0.0
        self._server: zmq.Socket[bytes] | None = None
        self.address: str | None = None
        if listen is not None:
            self._server = self._listen(listen)
        self._own = msgspec.structs.replace(own, address=self.address)
        for invite in invites:
            self.add_invite(invite)
        for peer in peers:
            self.add_peer(peer)

    # --- set up -----------------------------------------------------------------------------------

    def _listen(self, listen: str) -> zmq.Socket[bytes]:
        server = self._context.socket(zmq.ROUTER)
        self._tune(server)
        server.set(zmq.ROUTER_MANDATORY, 1)
        server.set(zmq.CURVE_SERVER, 1)
        server.set(zmq.CURVE_SECRETKEY, self._keys.secret.encode())
        server.set(zmq.ZAP_DOMAIN, DOMAIN)
        try:
            server.bind(listen)
        except zmq.ZMQError as error:
            server.close(0)
            raise HostUnable(
                f"this host can't listen on {listen} ({error.strerror}): another program may have the "
                "port; choose another with --listen"
            ) from error
        bound = server.get(zmq.LAST_ENDPOINT)
        text = bound.decode().rstrip("\0") if isinstance(bound, bytes) else listen
        for wildcard in ("0.0.0.0", "[::]"):
            text = text.replace(f"//{wildcard}:", f"//{sockets.gethostname()}:")
        self.address = text
        return server

    def _tune(self, socket: zmq.Socket[bytes]) -> None:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, 10_000)
        socket.set(zmq.RCVHWM, 10_000)
        socket.set(zmq.MAXMSGSIZE, LARGEST_FRAME)
        socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.set(zmq.HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS)
        socket.set(zmq.HEARTBEAT_TTL, 3 * HEARTBEAT_MS)
        socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)

    def add_invite(self, invite: InviteRow) -> None:
        """Let an invitation's key in, a used one too: it is told why it is refused."""
        self._gate.admit(invite.public_key, INVITE + invite.public_key)

    def add_peer(self, row: PeerRow) -> None:
        """Let a paired host in, and dial it where it has an address."""
        self._peers[row.name] = row
        self._gate.admit(row.public_key, row.name)
        old = self._dialled.get(row.name)
        if old is not None and old.address != row.address:
            self._hang_up(row.name)
        if row.address is not None and row.name not in self._dialled:
            self._dial(row.name, row.address, row.public_key)

    def _dial(self, name: str, address: str, public_key: str) -> None:
        socket = self._context.socket(zmq.DEALER)
        self._tune(socket)
        socket.set(zmq.CURVE_SERVERKEY, public_key.encode())
        socket.set(zmq.CURVE_PUBLICKEY, self._keys.public.encode())
        socket.set(zmq.CURVE_SECRETKEY, self._keys.secret.encode())
        monitor = socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        )
        socket.connect(address)
        self._dialled[name] = _Dialled(socket, monitor, address)

    def _hang_up(self, name: str) -> None:
        line = self._dialled.pop(name)
        line.socket.disable_monitor()
        line.monitor.close(0)
        line.socket.close(0)

    # --- what others ask ----------------------------------------------------------------------------

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Give every socket to poll."""
        found = [self._gate.socket]
        if self._server is not None:
            found.append(self._server)
        for line in self._dialled.values():
            found.extend((line.socket, line.monitor))
        return found

    def connected(self, peer: str) -> bool:
        """Tell whether a peer can be reached."""
        line = self._dialled.get(peer)
        return (line is not None and line.up) or peer in self._routes

    def hello_of(self, peer: str) -> Hello | None:
        """Give what a peer said of itself last."""
        return self._hellos.get(peer)

    def peers(self) -> list[PeerRow]:
        """Give the paired hosts."""
        return sorted(self._peers.values(), key=lambda row: row.name)

    def peer(self, name: str) -> PeerRow | None:
        """Give a paired host."""
        return self._peers.get(name)

    # --- sending ------------------------------------------------------------------------------------

    def send(self, peer: str, message: PeerMessage) -> bool:
        """Send a message; False where the peer can't be reached now. Never waits."""
        frame = encode(message)
        if len(frame) > LARGEST_FRAME:
            self._on_refused("too large to send", f"{len(frame)} bytes for {peer}")
            return False
        line = self._dialled.get(peer)
        if line is not None and line.up:
            try:
                line.socket.send(frame, zmq.NOBLOCK)
            except zmq.Again:
                return False
            return True
        route = self._routes.get(peer)
        return route is not None and self._send_route(route, frame, peer)

    def _send_route(self, route: bytes, frame: bytes, peer: str | None) -> bool:
        if self._server is None:
            return False
        try:
            self._server.send_multipart([route, frame], zmq.NOBLOCK)
        except zmq.ZMQError:
            if peer is not None:
                self._routes.pop(peer, None)
            return False
        return True

    def answer_pair(self, route: bytes, message: PeerMessage) -> None:
        """Answer someone who wants to pair."""
        self._send_route(route, encode(message), None)

    # --- receiving ----------------------------------------------------------------------------------

    def receive(self, now: float) -> list[PeerEvent]:
        """Take in everything that came, without waiting.

        Args:
            now: monotonic seconds.
        """
        self._gate.receive()
        events: list[PeerEvent] = []
        for name, line in list(self._dialled.items()):
            self._watch(name, line)
            self._receive_dialled(name, line, events, now)
        if self._server is not None:
            self._receive_server(self._server, events, now)
        if now >= self._next_keepalive:
            self._next_keepalive = now + KEEPALIVE
            for peer, route in list(self._routes.items()):
                self._send_route(route, encode(self._own), peer)
        return events

    def next_deadline(self) -> float | None:
        """Give the monotonic time at which ``receive`` has something to do by itself."""
        return self._next_keepalive if self._routes else None

    def _watch(self, name: str, line: _Dialled) -> None:
        while line.monitor.poll(0):
            event = recv_monitor_message(line.monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                line.shaken = True
                line.socket.send(encode(self._hello_for(name)), zmq.NOBLOCK)
            elif event == zmq.EVENT_DISCONNECTED:
                line.shaken = line.up = False
            else:
                self._on_refused("handshake refused", f"{name} at {line.address}")

    def _hello_for(self, peer: str) -> Hello:
        known = self._hellos.get(peer)
        return msgspec.structs.replace(
            self._own, knows_you=known.incarnation if known is not None else 0
        )

    def _receive_dialled(
        self, name: str, line: _Dialled, events: list[PeerEvent], now: float
    ) -> None:
        for _ in range(FRAMES_PER_ROUND):
            try:
                frames = line.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            message = self._decode(name, frames, now)
            if message is None:
                continue
            if isinstance(message, Hello):
                refusal = self._against(name, message)
                if refusal is not None:
                    self._on_refused("hello", refusal.message)
                    continue
                fresh = not line.up
                line.up = True
                self._hellos[name] = message
                if fresh:
                    events.append(LinkUp(name, message))
            elif isinstance(message, HelloRefused):
                self._on_refused("hello refused by peer", f"{name}: {message.message}")
            else:
                events.append(Received(name, message))

    def _receive_server(
        self, server: zmq.Socket[bytes], events: list[PeerEvent], now: float
    ) -> None:
        for _ in range(FRAMES_PER_ROUND):
            try:
                frames = server.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            route = frames[0].bytes
            user = str(frames[-1].get("User-Id"))
            message = self._decode(user, [frame.bytes for frame in frames[1:]], now, route)
            if message is None:
                continue
            if user.startswith(INVITE):
                self._invited(user.removeprefix(INVITE), route, message, events, now)
            elif isinstance(message, Hello):
                self._greeted(user, route, message, events)
            elif isinstance(message, Pair):
                self._reject(user, "Pair outside an invitation", now, route)
            else:
                self._routes.setdefault(user, route)
                events.append(Received(user, message))

    def _invited(
        self, key: str, route: bytes, message: PeerMessage, events: list[PeerEvent], now: float
    ) -> None:
        if isinstance(message, Pair):
            events.append(PairRequested(key, message, route))
        else:
            self._reject("an invited host", f"{type(message).__name__} before pairing", now, route)

    def _greeted(
        self, user: str, route: bytes, hello: Hello, events: list[PeerEvent]
    ) -> None:
        refusal = self._against(user, hello)
        if refusal is not None:
            self._on_refused("hello", refusal.message)
            self._send_route(route, encode(refusal), None)
            return
        known = self._routes.get(user)
        self._routes[user] = route
        self._hellos[user] = hello
        if known != route:
            self._send_route(route, encode(self._hello_for(user)), user)
            events.append(LinkUp(user, hello))

    def _against(self, peer: str, hello: Hello) -> HelloRefused | None:
        """Say what speaks against a HELLO; None if nothing does."""
        if hello.host != peer:
            return HelloRefused(
                AccessDenied.__name__,
                f"the key of host {peer!r} was used by one that calls itself {hello.host!r}",
            )
        lowest, highest = PROTOCOL_VERSIONS
        if max(lowest, hello.lowest) > min(highest, hello.highest):
            return HelloRefused(
                ProtocolViolation.__name__,
                f"host {self._own.host!r} speaks protocol versions {lowest} to {highest}, host "
                f"{hello.host!r} {hello.lowest} to {hello.highest}: update the older one",
            )
        return None

    def _decode(
        self, peer: str, frames: list[bytes], now: float, route: bytes | None = None
    ) -> PeerMessage | None:
        if self._refusals.silenced(peer, now):
            return None
        if len(frames) != 1:
            self._reject(peer, f"{len(frames)} frames instead of one", now, route)
            return None
        try:
            return decode(frames[0])
        except (msgspec.DecodeError, RecursionError) as error:
            self._reject(peer, str(error), now, route)
            return None

    def _reject(self, peer: str, why: str, now: float, route: bytes | None) -> None:
        self._refusals.refused(peer, now)
        self._on_refused("malformed message", f"{peer}: {why}")
        answer = Rejected(ProtocolViolation.__name__, f"the message was refused: {why}")
        if route is not None:
            self._send_route(route, encode(answer), None)
        elif peer in self._dialled:
            self.send(peer, answer)

    def close(self) -> None:
        """Close every connection."""
        for name in list(self._dialled):
            self._hang_up(name)
        if self._server is not None:
            self._server.close(0)
        self._gate.socket.close(0)
