"""The connections to paired hosts: one listening socket, one dialling socket per peer with an address.

ZeroMQ is taken for a datagram pipe: what is sent may be lost on a reconnect, and whoever needs more repeats
it. HELLO comes first on every connection, in both directions, so that a restart of the other side is seen;
what comes before it is dropped. Who speaks is known from the key (ZAP's user id), never from what a
message says. Nothing here waits, and nothing that a peer sends raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec
import zmq

from sojourn.hosts.peers.admission import Admission
from sojourn.hosts.peers.checks import against_hello, against_introduction, is_address
from sojourn.hosts.peers.dialling import Dialled, Line, Turned
from sojourn.hosts.peers.greeting import judge
from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.limits import LARGEST_FRAME, MESSAGES_PER_ROUND, Refusals
from sojourn.hosts.peers.listening import Listener, Sent
from sojourn.hosts.peers.reach import LinkDown as LinkDown
from sojourn.hosts.peers.reach import LinkUp as LinkUp
from sojourn.hosts.peers.reach import Reach
from sojourn.hosts.peers.zap import INVITE, PEER
from sojourn.hosts.reception import Incoming
from sojourn.runtime.errors import AccessDenied, ProtocolViolation
from sojourn.runtime.job import InviteRow, PeerRow
from sojourn.runtime.wire.peer import (
    Hello,
    HelloRefused,
    Known,
    Pair,
    PeerMessage,
    Rejected,
    decode_all,
    encode,
    frames_of,
)

KEEPALIVE = 5.0
"""Seconds between two HELLOs to a peer that dialled us: a send that fails tells that it is gone."""

PROBES = (0.0, 0.05, 0.3)
"""Seconds after some connection ended at which all are tried: the end is told before it has happened."""


class Received(msgspec.Struct, frozen=True):
    """A message of a paired host."""

    peer: str
    message: PeerMessage


class PairRequested(msgspec.Struct, frozen=True):
    """Someone with an invitation's key wants to pair; ``route`` is where the answer goes."""

    invite_key: str
    pair: Pair
    route: bytes


PeerEvent = Received | LinkUp | LinkDown | PairRequested


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

    Attributes:
        address: where peers can dial this host; None if they can't.

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
        self._now = 0.0
        self._refusals = Refusals()
        self._admission = Admission(context, on_refused)
        self._peers: dict[str, PeerRow] = {}
        self._dialled: dict[str, Dialled] = {}
        self._routes: dict[str, bytes] = {}
        """peer → route of the connection that it dialled and said HELLO on."""
        self._refused_by: dict[str, str] = {}
        """peer → why it doesn't speak with this host, where it said so on a connection that it dialled."""
        self._reach = Reach()
        self._apart: dict[str, str] = {}
        """Peer → why there is no connection to it, where one side refused the other."""
        self._events: list[PeerEvent] = []
        self._probes: list[float] = []
        self._next_keepalive = 0.0
        try:
            self._server = None if listen is None else Listener(context, keys, listen)
        except Exception:  # whatever it was: nobody holds this object who could close what it opened
            self._admission.close()
            raise
        self.address = None if self._server is None else self._server.address
        self._own = msgspec.structs.replace(own, address=self.address)
        for invite in invites:
            self.add_invite(invite)
        for peer in peers:
            self.add_peer(peer)

    # --- whom to know -------------------------------------------------------------------------------

    def add_invite(self, invite: InviteRow) -> None:
        """Let an invitation's key in, a used one too: it is told why it is refused."""
        self._admission.admit_invited(invite.public_key)

    def add_peer(self, row: PeerRow) -> None:
        """Let a paired host in, and dial it where it has an address."""
        before = self._peers.get(row.name)
        if before is not None and before.public_key != row.public_key:
            self._expel(before)
        self._peers[row.name] = row
        self._admission.admit_peer(row.public_key, row.name)
        line = self._dialled.get(row.name)
        if line is not None and (line.address, line.public_key) != (row.address, row.public_key):
            del self._dialled[row.name]
            line.close()
            if line.state is Line.UP:
                self._lost(row.name)
        if row.address is not None and row.name not in self._dialled:
            self._dial(row.name, row.address, row.public_key)

    def try_again(self, name: str) -> None:
        """Dial a host anew that refused this one: it doesn't any more."""
        line = self._dialled.get(name)
        if line is not None and line.refusal:
            self._redial(name, line)

    def tell_role(self, name: str) -> None:
        """Tell a paired host what it may do here now."""
        self.send_frame(name, self._hello_for(name))

    def remove_peer(self, name: str, why: str) -> None:
        """End the pairing with a host: its key gets in no more, and what its connections send is nobody's.

        Args:
            name: it.
            why: a sentence that it is told, where it can be reached.
        """
        row = self._peers.get(name)
        if row is None:
            return
        farewell = encode(HelloRefused(AccessDenied.__name__, why))
        line = self._dialled.pop(name, None)
        if line is not None:
            line.send(farewell)
            line.close(farewell=True)
        if self._server is not None and name in self._routes:
            self._server.send(self._routes[name], farewell)
        self._expel(row)
        del self._peers[name]
        self._lost(name)
        self._reach.forget(name)

    def _expel(self, row: PeerRow) -> None:
        """Let a key in no more, and end the connections that were opened under it."""
        self._admission.expel(row.public_key)
        self._routes.pop(row.name, None)
        self._refused_by.pop(row.name, None)
        if self._server is not None:
            self._server.hang_up([PEER + row.public_key], self._now)

    def _dial(self, name: str, address: str, public_key: str) -> None:
        try:
            if not is_address(address):
                raise zmq.ZMQError(msg="no address")
            self._dialled[name] = Dialled(self._context, self._keys, address, public_key)
        except zmq.ZMQError as error:
            self._on_refused("undiallable", f"{name} at {address!r}: {error}")

    # --- what others ask ----------------------------------------------------------------------------

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Give every socket to poll."""
        found = [self._admission.socket]
        if self._server is not None:
            found.extend((self._server.socket, self._server.monitor))
        for line in self._dialled.values():
            found.extend((line.socket, line.monitor))
        return found

    def next_deadline(self) -> float | None:
        """Give the monotonic time at which ``receive`` has something to do by itself."""
        if self._events:
            return self._now
        hellos = (line.hello_due() for line in self._dialled.values())
        looks = (line.next_look() for line in self._dialled.values())
        due = [*self._probes, *(time for time in (*hellos, *looks) if time is not None)]
        if self._server is not None and (look := self._server.next_look()) is not None:
            due.append(look)
        if self._routes:
            due.append(self._next_keepalive)
        return min(due, default=None)

    def connected(self, peer: str) -> bool:
        """Tell whether a peer can be reached."""
        line = self._dialled.get(peer)
        return (line is not None and line.state is Line.UP) or peer in self._routes

    def hello_of(self, peer: str) -> Hello | None:
        """Give what a peer said of itself last."""
        return self._reach.hello_of(peer)

    def refused_by(self, peer: str) -> str:
        """Say why a peer doesn't speak with this host; empty where it does, or said nothing."""
        if self.connected(peer):
            return ""
        line = self._dialled.get(peer)
        return (line.refusal if line is not None else "") or self._refused_by.get(peer, "")

    def refusals_of(self, peer: str) -> int:
        """Give how many messages of a peer were refused or not listened to."""
        row = self._peers.get(peer)
        return 0 if row is None else self._refusals.count(PEER + row.public_key)

    def why_apart(self, peer: str) -> str | None:
        """Say what keeps a peer away: its refusal, or this host's; None for nothing that is known of."""
        return self.refused_by(peer) or self._apart.get(peer)

    def peers(self) -> list[PeerRow]:
        """Give the paired hosts."""
        return sorted(self._peers.values(), key=lambda row: row.name)

    def peer(self, name: str) -> PeerRow | None:
        """Give a paired host."""
        return self._peers.get(name)

    # --- sending ------------------------------------------------------------------------------------

    def send(self, peer: str, message: PeerMessage) -> bool:
        """Send a message; False where the peer can't be reached now. Never waits."""
        return self.send_all(peer, [message])

    def send_all(self, peer: str, messages: Sequence[PeerMessage]) -> bool:
        """Send messages in their order, small ones together; False where any can't be sent now."""
        sent = True
        for frame in frames_of(messages):
            if len(frame) > LARGEST_FRAME:
                self._on_refused("too large to send", f"{len(frame)} bytes for {peer}")
                sent = False
            else:
                sent = self.send_frame(peer, frame) and sent
        return sent

    def send_frame(self, peer: str, frame: bytes) -> bool:
        """Send a message that is encoded already; as ``send``."""
        line = self._dialled.get(peer)
        if line is not None and line.state is Line.UP:
            return line.send(frame)
        route = self._routes.get(peer)
        return route is not None and self._send_route(peer, route, frame)

    def answer_pair(self, route: bytes, message: PeerMessage) -> None:
        """Answer someone who wants to pair."""
        self._send_back(route, message)

    def _send_route(self, peer: str, route: bytes, frame: bytes) -> bool:
        """Send over the connection that a peer dialled, and notice that it is gone."""
        if self._server is None:
            return False
        sent = self._server.send(route, frame)
        if sent is Sent.GONE and self._routes.get(peer) == route:
            del self._routes[peer]
            self._lost(peer)
        return sent is Sent.YES

    def _send_back(self, route: bytes, message: PeerMessage) -> None:
        """Answer on a connection whoever it belongs to; if it is gone, nobody misses the answer."""
        if self._server is not None:
            self._server.send(route, encode(message))

    def _lost(self, peer: str) -> None:
        self._events += self._reach.lost(peer, connected=self.connected(peer))

    def _hello_for(self, peer: str) -> bytes:
        row = self._peers.get(peer)
        last = self._reach.hello_of(peer) or row
        known = None if last is None else Known(last.store_id, last.incarnation, last.run)
        role = "" if row is None else row.role.value
        return encode(msgspec.structs.replace(self._own, knows_you=known, your_role=role))

    # --- receiving ----------------------------------------------------------------------------------

    def receive(self, now: float) -> list[PeerEvent]:
        """Take in everything that came, without waiting.

        Args:
            now: monotonic seconds.
        """
        self._now = now
        self._admission.receive(now)
        for name, line in list(self._dialled.items()):
            self._watch(name, line)
            self._receive_dialled(name, line)
        if self._server is not None:
            if self._server.someone_left(now) and not self._probes:
                self._probes = [now + delay for delay in PROBES]
            self._receive_server(self._server)
            for user, problem in self._server.cut_overdue(now):
                self._admission.tell(problem, self._who(user))
            if self._server.crowded:
                self._admission.tell("too many connections", "the oldest that had said nothing was cut")
                self._server.crowded = 0
        self._try_routes()
        events, self._events = self._events, []
        return events

    def _watch(self, name: str, line: Dialled) -> None:
        for turned in line.watch(self._now):
            if turned is Turned.LOST:
                self._lost(name)
            elif turned is Turned.KEY_REFUSED:
                self._apart[name] = (
                    f"host {name!r} doesn't accept this host's key, or has another one: pair them anew "
                    "with `sojourn invite` and `sojourn join`"
                )
                self._admission.tell("handshake refused", f"{name} at {line.address}")
        problem = line.overdue(self._now)
        if problem:
            self._admission.tell(problem, name)
            self._redial(name, line)
            return
        due = line.hello_due()
        if due is not None and due <= self._now:
            line.say_hello(self._hello_for(name), self._now)

    def _redial(self, name: str, line: Dialled) -> None:
        """End a connection and open it anew."""
        line.close()
        del self._dialled[name]
        if line.state is Line.UP:
            self._lost(name)
        self._dial(name, line.address, line.public_key)

    def _try_routes(self) -> None:
        if self._now >= self._next_keepalive:
            self._next_keepalive = self._now + KEEPALIVE
        elif not self._probes or self._now < self._probes[0]:
            return
        self._probes = [due for due in self._probes if due > self._now]
        for peer, route in list(self._routes.items()):
            self._send_route(peer, route, self._hello_for(peer))

    def _receive_dialled(self, name: str, line: Dialled) -> None:
        if self._dialled.get(name) is not line:
            return
        user, taken = PEER + line.public_key, 0
        for incoming in line.receive():
            messages = self._decode(user, incoming, incoming.frames, line.send)
            for message in messages:
                self._heard_dialled(name, line, message)
            taken += len(messages)
            if taken >= MESSAGES_PER_ROUND:
                return

    def _heard_dialled(self, name: str, line: Dialled, message: PeerMessage) -> None:
        if isinstance(message, Hello):
            self._answered(name, line, message)
        elif isinstance(message, HelloRefused):
            self._on_refused("hello refused by peer", f"{name}: {message.message}")
            line.refusal = message.message
            if line.state is Line.UP:
                self._lost(name)
            line.state = Line.REFUSED
        elif line.state is Line.UP:
            self._events.append(Received(name, message))

    def _answered(self, name: str, line: Dialled, hello: Hello) -> None:
        """A peer answered the HELLO of this host, or shows that it still knows it."""
        refusal = judge(self._own, name, hello)
        if isinstance(refusal, HelloRefused):
            self._on_refused("hello", refusal.message)
            self._apart[name] = refusal.message
            line.send(encode(refusal))
            if line.state is Line.UP:
                self._lost(name)
            line.state = Line.REFUSED
        elif line.state in (Line.SHAKEN, Line.UP):
            line.state = Line.UP
            self._apart.pop(name, None)
            self._events += self._reach.reached(name, hello)

    def _receive_server(self, server: Listener) -> None:
        taken = 0
        for route, user, incoming in server.receive():
            peer = self._admission.name_of(user)
            if peer is None and not user.startswith(INVITE):
                self._admission.tell("revoked key", user.removeprefix(PEER))
                server.hang_up_on(incoming)
                continue
            messages = self._decode(user, incoming, incoming.frames[1:], partial(server.send, route))
            for message in messages:
                if peer is None:
                    self._invited(user, route, message)
                else:
                    self._heard(peer, user, route, message)
            taken += len(messages)
            if taken >= MESSAGES_PER_ROUND:
                return

    def _invited(self, user: str, route: bytes, message: PeerMessage) -> None:
        if not isinstance(message, Pair):
            self._reject(user, f"{type(message).__name__} before pairing", route)
            return
        problem = against_introduction(message)
        if problem is not None:
            self._reject(user, problem, route)
            return
        self._events.append(PairRequested(user.removeprefix(INVITE), message, route))

    def _heard(self, peer: str, user: str, route: bytes, message: PeerMessage) -> None:
        greeted = self._routes.get(peer) == route
        if isinstance(message, Hello):
            self._greeted(peer, route, message)
        elif isinstance(message, HelloRefused):
            self._on_refused("hello refused by peer", f"{peer}: {message.message}")
            self._refused_by[peer] = message.message
            if greeted:
                del self._routes[peer]
                self._lost(peer)
        elif isinstance(message, Pair):
            self._reject(user, "Pair outside an invitation", route)
        elif greeted:
            self._events.append(Received(peer, message))

    def _greeted(self, peer: str, route: bytes, hello: Hello) -> None:
        """A peer said HELLO on a connection that it dialled."""
        refusal = judge(self._own, peer, hello)
        if isinstance(refusal, HelloRefused):
            self._on_refused("hello", refusal.message)
            self._apart[peer] = refusal.message
            self._send_back(route, refusal)
            return
        if self._server is None or self._server.send(route, self._hello_for(peer)) is Sent.GONE:
            return  # the last words of a connection that ended
        if self._routes.get(peer, route) != route:
            self._events += self._reach.lost(peer, connected=True)
        self._routes[peer] = route
        self._refused_by.pop(peer, None)
        self._apart.pop(peer, None)
        self._events += self._reach.reached(peer, hello)

    # --- what is malformed ----------------------------------------------------------------------------

    def _decode(
        self, user: str, incoming: Incoming, frames: list[zmq.Frame], answer: Callable[[bytes], object]
    ) -> Sequence[PeerMessage]:
        """Read one frame; nothing of one that was refused or of someone who isn't listened to."""
        if self._refusals.silenced(user, self._now):
            return ()
        unheard = self._refusals.unheard(user)
        if unheard:
            self._on_refused("listened to again", f"{self._who(user)}: {unheard} messages were dropped")
        if len(frames) != 1:
            beyond = "" if incoming.complete else "more than "
            self._refuse(user, f"{beyond}{len(frames)} frames instead of one", answer)
            return ()
        try:
            messages = decode_all(frames[0].buffer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._refuse(user, str(error), answer)
            return ()
        hellos = (message for message in messages if isinstance(message, Hello))
        problem = next((found for found in map(against_hello, hellos) if found is not None), None)
        if problem is not None:
            self._refuse(user, problem, answer)
            return ()
        return messages

    def refuse(self, peer: str, why: str) -> None:
        """Refuse what a message of a peer holds, as if it had been malformed itself."""
        row = self._peers.get(peer)
        if row is not None:
            self._refuse(PEER + row.public_key, why, partial(self.send_frame, peer))

    def _reject(self, user: str, why: str, route: bytes) -> None:
        if self._server is not None:
            self._refuse(user, why, partial(self._server.send, route))

    def _refuse(self, user: str, why: str, answer: Callable[[bytes], object]) -> None:
        """Count a message that changes nothing, log it and tell its sender."""
        who = self._who(user)
        self._on_refused("malformed message", f"{who}: {why}")
        answer(encode(Rejected(ProtocolViolation.__name__, f"the message was refused: {why}")))
        if self._refusals.refused(user, self._now):
            self._on_refused(
                "not listened to for a while",
                f"{who}: {self._refusals.count(user)} messages were refused so far",
            )

    def _who(self, user: str) -> str:
        """Name who speaks on a connection, for the log."""
        return self._admission.name_of(user) or user or "(unknown)"

    def close(self) -> None:
        """Close every connection."""
        for line in self._dialled.values():
            line.close()
        self._dialled.clear()
        if self._server is not None:
            self._server.close()
        self._admission.close()
