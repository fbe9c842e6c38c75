"""Where this host meets others: pairing, HELLO, relayed commands, and hand-off messages passed on."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import zmq

from sojourn.hosts.peers.joining import Joining
from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.links import LinkDown, LinkUp, PairRequested, PeerLinks, Received
from sojourn.hosts.peers.protocol import Connect
from sojourn.hosts.peers.tokens import make_invite, read_token
from sojourn.hosts.supervisor.codebases import LoadAnswer
from sojourn.hosts.supervisor.core import Asker, Core, ToPeer
from sojourn.hosts.supervisor.crashing import CrashPoint
from sojourn.hosts.supervisor.desk import Desk
from sojourn.hosts.supervisor.relays import Relays
from sojourn.runtime.document_format import rfc3339
from sojourn.runtime.engine.inputs import Round
from sojourn.runtime.errors import (
    AccessDenied,
    JobUnreadable,
    NotFound,
    Refused,
    SojournError,
    UsageError,
)
from sojourn.runtime.handoff.crash_points import after_send, before_send
from sojourn.runtime.handoff.drain import Peer
from sojourn.runtime.job import InviteRow, PeerRow
from sojourn.runtime.wire.claims import ClaimsMessage
from sojourn.runtime.wire.client import Answer, Failure, Invite, Join, Request
from sojourn.runtime.wire.handoff import HandoffMessage
from sojourn.runtime.wire.peer import (
    PROTOCOL_VERSIONS,
    Cordoned,
    Hello,
    Known,
    Pair,
    Paired,
    PairRefused,
    RelayAnswer,
    RelayDropped,
    RelayRequest,
    RelayReturned,
)

ROLES = ["peer", "operator"]

TELL_EVERY = 5.0
"""Seconds between two words about a cordon, once there was one."""


class Handoffs(Protocol):
    """What the border passes on."""

    def received(self, peer: str, message: HandoffMessage) -> None: ...  # noqa: D102
    def claimed(self, peer: str, message: ClaimsMessage) -> None: ...  # noqa: D102
    def heard_hello(self, peer: str, knows_you: Known | None) -> None: ...  # noqa: D102
    def link_back(self, peer: str) -> None: ...  # noqa: D102


class Border:
    """This host's dealings with its peers.

    Args:
        core: shared state.
        desk: does what peers relay.
        context: of the sockets.
        connect: makes the connections to peers; None for TCP.

    Raises:
        HostUnable: if the address can't be listened on.
    """

    def __init__(
        self, core: Core, desk: Desk, context: zmq.Context[zmq.Socket[bytes]],
        connect: Connect | None = None,
    ) -> None:
        self._core = core
        self._desk = desk
        self._context = context
        self._keys = Keys.load_or_create(core.home.keys)
        self._invites = {invite.public_key: invite for invite in core.store.invites()}
        lowest, highest = PROTOCOL_VERSIONS
        own = Hello(
            core.host, core.store.store_id, core.store.incarnation, lowest, highest, run=core.run
        )
        connect = connect or partial(PeerLinks, context)
        self.links = connect(
            own, self._keys, core.options.listen, core.store.peers(), self._invites.values(),
            self._refused,
        )
        self.handoffs: Handoffs | None = None
        self._crash = CrashPoint()
        self._relays = Relays(core, desk, self.links)
        self._joining: list[tuple[Asker, Joining]] = []
        self._pairings: list[tuple[bytes, Paired]] = []
        """Answers to hosts that paired, sent once the pairing is on disk."""
        self._tell_again: float | None = 0.0 if core.cordoned else None
        self._cordoned = set[str]()
        """Peers that said that they take no new jobs."""

    def _refused(self, kind: str, detail: str) -> None:
        self._core.log.warning("refused", kind=kind, detail=detail)

    # --- the reactor's interface ----------------------------------------------------------------

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """See ``Part``."""
        found = self.links.sockets()
        for _, joining in self._joining:
            found.extend(joining.sockets())
        return found

    def receive(self) -> None:
        """See ``Part``."""
        for event in self.links.receive(self._core.now.monotonic):
            match event:
                case Received():
                    self._received(event)
                case LinkUp():
                    self._link_up(event)
                case LinkDown():
                    self._core.log.info("peer disconnected", peer=event.peer)
                case PairRequested():
                    self._pair(event)
        for asker, joining in list(self._joining):
            outcome = joining.receive(self._core.now.monotonic)
            if outcome is not None:
                self._joining.remove((asker, joining))
                joining.close()
                self._joined(asker, joining, outcome)

    def loaded(self, answer: LoadAnswer) -> None:
        """See ``Part``."""

    def before_commit(self, round_: Round) -> None:
        """See ``Part``."""

    def after_commit(self, committed: Round) -> None:  # noqa: ARG002 - whatever was in it
        """See ``Part``."""
        pairings, self._pairings = self._pairings, []
        for route, answer in pairings:
            self.links.answer_pair(route, answer)

    def deliver(self, message: ToPeer) -> None:
        """See ``Part``."""
        role, _, name = message.point.partition(".")
        self._crash.reached(before_send(role, name))
        if not self.links.send(message.peer, message.message):
            self._core.log.info(
                "peer unreachable", peer=message.peer, message=type(message.message).__name__
            )
        self._crash.reached(after_send(role, name))

    def deliver_relayed(self, asker: Asker, answer: Answer) -> None:
        """See ``Part``."""
        if isinstance(answer, Failure):
            self._refused("relayed command", f"{asker.peer}: {answer.message}")
        self._relays.deliver(asker, answer)

    def tick(self) -> float | None:
        """See ``Part``."""
        if self._tell_again is not None and self._tell_again <= self._core.read_clocks().monotonic:
            self.tell_cordon()  # what was told may have been lost
        times = [joining.deadline for _, joining in self._joining]
        if self._tell_again is not None:
            times.append(self._tell_again)
        keepalive = self.links.next_deadline()
        if keepalive is not None:
            times.append(keepalive)
        return min(times, default=None)

    def close(self) -> None:
        """See ``Part``."""
        for _, joining in self._joining:
            joining.close()
        self.links.close()

    def address(self) -> str | None:
        """Where this host can be dialled."""
        return self.links.address

    # --- messages of peers ------------------------------------------------------------------------

    def _received(self, event: Received) -> None:
        message = event.message
        match message:
            case RelayRequest():
                self._relays.serve(event.peer, message)
            case RelayAnswer():
                self._relays.answered(event.peer, message)
            case RelayReturned():
                self._relays.returned(event.peer, message)
            case RelayDropped():
                self._relays.drop(event.peer, message.relay)
            case Cordoned():
                (self._cordoned.add if message.on else self._cordoned.discard)(event.peer)
            case Hello() | Pair() | Paired() | PairRefused():
                self._refused("out of place", f"{event.peer}: {type(message).__name__}")
            case _:
                try:
                    self._pass_on(event.peer, message)
                except JobUnreadable as error:
                    self._refused("about an unreadable job", f"{event.peer}: {error.message}")

    def _pass_on(self, peer: str, message: Any) -> None:
        if isinstance(message, HandoffMessage):
            if self.handoffs is not None:
                self.handoffs.received(peer, message)
        elif isinstance(message, ClaimsMessage):
            if self.handoffs is not None:
                self.handoffs.claimed(peer, message)
        else:
            self._core.log.info("peer says", peer=peer, message=repr(message)[:500])

    def _link_up(self, event: LinkUp) -> None:
        core = self._core
        core.log.info("peer connected", peer=event.peer, incarnation=event.hello.incarnation)
        self._cordoned.discard(event.peer)
        if core.cordoned:
            core.send(ToPeer(event.peer, Cordoned(on=True)))
        if self.handoffs is not None:
            self.handoffs.heard_hello(event.peer, event.hello.knows_you)
        row = self.links.peer(event.peer)
        hello = event.hello
        if row is not None and (
            (hello.address is not None and hello.address != row.address)
            or (hello.store_id, hello.incarnation, hello.run)
            != (row.store_id, row.incarnation, row.run)
        ):
            row = PeerRow(
                row.name, row.public_key, hello.address or row.address, hello.store_id,
                row.paired_at, hello.incarnation, hello.run,
            )
            core.round.writes.peers_put.append(row)
            self.links.add_peer(row)
        self._relays.link_up(event.peer)
        if self.handoffs is not None:
            self.handoffs.link_back(event.peer)

    # --- pairing ----------------------------------------------------------------------------------

    def invite(self, asker: Asker, command: Invite) -> None:
        """Make an invitation."""
        if self.links.address is None:
            raise Refused(
                f"host {self._core.host!r} listens on no address: start it with "
                "--listen tcp://HOST:PORT, or invite from the other host"
            )
        expires = self._core.now.wall + command.seconds
        token, row = make_invite(
            self._core.host, self.links.address, self._keys.public, expires
        )
        self._remember(row)
        self._desk.reply(asker, {"token": token, "expires_at": rfc3339(expires)})

    def _remember(self, row: InviteRow) -> None:
        self._invites[row.public_key] = row
        self._core.round.writes.invites_put.append(row)
        self.links.add_invite(row)

    def _pair(self, event: PairRequested) -> None:
        """Someone used an invitation."""
        core = self._core
        pair = event.pair
        invite = self._invites[event.invite_key]
        problem = self._against_pairing(invite, pair)
        if problem is not None:
            self._refused("pairing", f"{pair.host}: {problem}")
            self.links.answer_pair(event.route, PairRefused(AccessDenied.__name__, problem))
            return
        row = PeerRow(pair.host, pair.public_key, pair.address, pair.store_id, core.now.wall)
        core.round.writes.peers_put.append(row)
        self._remember(InviteRow(invite.public_key, invite.expires_at, pair.public_key))
        self.links.add_peer(row)
        core.log.info("paired", peer=pair.host, address=pair.address)
        self._pairings.append(
            (event.route, Paired(core.host, self._keys.public, self.links.address, core.store.store_id))
        )

    def _against_pairing(self, invite: InviteRow, pair: Pair) -> str | None:
        host = self._core.host
        if invite.used_by is not None and invite.used_by != pair.public_key:
            return "this invitation was used already: ask for a new one with `sojourn invite`"
        if invite.used_by is None and invite.expires_at < self._core.now.wall:
            return "this invitation is over: ask for a new one with `sojourn invite`"
        if pair.host == host or pair.public_key == self._keys.public:
            return f"a host can't pair with itself or with another named {host!r}: choose names with --name"
        known = self.links.peer(pair.host)
        if known is not None and known.public_key != pair.public_key:
            return (
                f"host {host!r} has a peer named {pair.host!r} with another key already: start the "
                "new one with another --name"
            )
        return None

    def join(self, asker: Asker, command: Join) -> None:
        """Use an invitation."""
        token = read_token(command.token)
        core = self._core
        if token.expires_at < core.now.wall:
            raise AccessDenied(
                f"the token of host {token.host!r} is over: ask for a new one with `sojourn invite`"
            )
        if token.server_key == self._keys.public:
            raise UsageError("this token is this host's own: use it on the other host")
        known = self.links.peer(token.host)
        if known is not None and known.public_key != token.server_key:
            raise AccessDenied(
                f"host {core.host!r} has a peer named {token.host!r} with another key already"
            )
        pair = Pair(core.host, self._keys.public, self.links.address, core.store.store_id)
        self._joining.append((asker, Joining(self._context, token, pair, core.now.monotonic)))

    def _joined(
        self, asker: Asker, joining: Joining, outcome: Paired | SojournError
    ) -> None:
        if isinstance(outcome, SojournError):
            self._desk.fail(asker, outcome)
            return
        core = self._core
        row = PeerRow(
            outcome.host, joining.token.server_key, outcome.address or joining.token.address,
            outcome.store_id, core.now.wall,
        )
        core.round.writes.peers_put.append(row)
        self.links.add_peer(row)
        core.log.info("paired", peer=row.name, address=row.address)
        self._desk.reply(asker, {"name": row.name, "address": row.address})

    def connected(self, peer: str) -> bool:
        """Tell whether a peer can be reached."""
        return self.links.connected(peer)

    def store_of(self, peer: str) -> str | None:
        """Give the store that a peer said HELLO with last."""
        hello = self.links.hello_of(peer)
        return None if hello is None else hello.store_id

    def names(self) -> set[str]:
        """Name the paired hosts."""
        return {row.name for row in self.links.peers()}

    def peers_body(self) -> dict[str, Any]:
        """List the peers."""
        return {
            "peers": [
                {
                    "name": row.name, "address": row.address, "connected": self.links.connected(row.name),
                    "cordoned": peer.cordoned if peer.reachable else None,
                    "roles": ROLES, "store_id": row.store_id,
                }
                for row, peer in zip(self.links.peers(), self.standing(), strict=True)
            ]
        }

    def standing(self) -> list[Peer]:
        """Give the paired hosts, and which of them take jobs now."""
        return [
            Peer(row.name, reachable=self.links.connected(row.name), cordoned=row.name in self._cordoned)
            for row in self.links.peers()
        ]

    def tell_cordon(self) -> None:
        """Tell every peer that can be reached whether this host takes jobs, then again and again."""
        self._tell_again = self._core.read_clocks().monotonic + TELL_EVERY
        for peer in self.standing():
            if peer.reachable:
                self._core.send(ToPeer(peer.name, Cordoned(on=self._core.cordoned)))

    def require(self, name: str) -> PeerRow:
        """Give a paired host.

        Raises:
            NotFound: if there is none of that name.
        """
        row = self.links.peer(name)
        if row is None:
            known = ", ".join(peer.name for peer in self.links.peers()) or "none"
            raise NotFound(
                f"host {self._core.host!r} has no peer {name!r} (it has {known}): pair them with "
                "`sojourn invite` and `sojourn join`"
            )
        return row

    # --- relayed commands ---------------------------------------------------------------------------

    def relay(self, host: str, asker: Asker, request: Request) -> None:
        """Let another host do something; its answers go to the asker."""
        self.require(host)
        self._relays.relay(host, asker, request)

    def gone(self, asker: Asker) -> None:
        """Someone who asked here went away."""
        self._relays.gone(asker)
