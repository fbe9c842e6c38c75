"""Where this host meets others: HELLO, relayed commands, and hand-off messages passed on, by role."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import zmq

from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.limits import LogLines
from sojourn.hosts.peers.links import LinkDown, LinkUp, PairRequested, PeerLinks, Received
from sojourn.hosts.peers.protocol import Connect
from sojourn.hosts.supervisor.codebases import LoadAnswer
from sojourn.hosts.supervisor.core import Asker, Core, ToPeer
from sojourn.hosts.supervisor.crashing import CrashPoint
from sojourn.hosts.supervisor.desk import Desk
from sojourn.hosts.supervisor.pairing import Pairing
from sojourn.hosts.supervisor.permits import Permits
from sojourn.hosts.supervisor.relays import Relays
from sojourn.runtime.engine.inputs import Round
from sojourn.runtime.errors import JobUnreadable, to_wire
from sojourn.runtime.handoff.crash_points import after_send, before_send
from sojourn.runtime.handoff.drain import Peer
from sojourn.runtime.job import PeerRow
from sojourn.runtime.roles import may_hand_over
from sojourn.runtime.wire.claims import ClaimsMessage
from sojourn.runtime.wire.client import Answer, Failure, Request
from sojourn.runtime.wire.handoff import HandoffMessage, HandoffRefused, Preflight
from sojourn.runtime.wire.peer import (
    PROTOCOL_VERSIONS,
    Cordoned,
    Hello,
    Known,
    Pair,
    Paired,
    PairRefused,
    PeerMessage,
    RelayAnswer,
    RelayDropped,
    RelayRequest,
    RelayReturned,
)
from sojourn.runtime.wire.survey import Survey, SurveyMessage, denial

TELL_EVERY = 5.0
"""Seconds between two words about a cordon, once there was one."""


class Handoffs(Protocol):
    """What the border passes on."""

    def received(self, peer: str, message: HandoffMessage) -> None: ...  # noqa: D102
    def claimed(self, peer: str, message: ClaimsMessage) -> None: ...  # noqa: D102
    def surveyed(self, peer: str, message: SurveyMessage) -> None: ...  # noqa: D102
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
        keys = Keys.load_or_create(core.home.keys)
        invitations = {invite.public_key: invite for invite in core.store.invites()}
        rows = core.store.peers()
        lowest, highest = PROTOCOL_VERSIONS
        own = Hello(
            core.host, core.store.store_id, core.store.incarnation, lowest, highest, run=core.run
        )
        connect = connect or partial(PeerLinks, context)
        self.links = connect(
            own, keys, core.options.listen, [row for row in rows if row.revoked_at is None],
            invitations.values(), self._refused,
        )
        self.pairing = Pairing(core, self.links, keys, invitations, rows, desk, context)
        self.permits = Permits(core, self.pairing.role_of)
        self.handoffs: Handoffs | None = None
        self._crash = CrashPoint()
        self._relays = Relays(core, desk, self.links)
        self._lines = LogLines()
        self._tell_again: float | None = 0.0 if core.cordoned else None
        self._cordoned = set[str]()
        """Peers that said that they take no new jobs."""

    def _refused(self, kind: str, detail: str) -> None:
        self._core.log.warning("refused", kind=kind, detail=detail)

    def _refused_of(self, peer: str, kind: str, detail: str) -> None:
        """Log what was refused of a peer, as long as that is readable."""
        line = self._lines.line(peer, detail, self._core.now.monotonic)
        if line is not None:
            self._refused(kind, line)

    # --- the reactor's interface ----------------------------------------------------------------

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """See ``Part``."""
        return [*self.links.sockets(), *self.pairing.sockets()]

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
                    self._relays.link_down(event.peer)
                case PairRequested():
                    self.pairing.requested(event)
        self.pairing.receive()

    def loaded(self, answer: LoadAnswer) -> None:
        """See ``Part``."""

    def before_commit(self, round_: Round) -> None:
        """See ``Part``."""

    def after_commit(self, committed: Round) -> None:  # noqa: ARG002 - whatever was in it
        """See ``Part``."""
        self.pairing.after_commit()

    def deliver(self, peer: str, messages: Sequence[ToPeer]) -> None:
        """See ``Part``."""
        waiting: list[PeerMessage] = []
        for message in messages:
            role, _, name = message.point.partition(".")
            before, after = before_send(role, name), after_send(role, name)
            if self._crash.is_at(before):
                self._send(peer, waiting)
                waiting = []
                self._crash.reached(before)
            waiting.append(message.message)
            if self._crash.is_at(after):
                self._send(peer, waiting)
                waiting = []
                self._crash.reached(after)
        self._send(peer, waiting)

    def _send(self, peer: str, messages: list[PeerMessage]) -> None:
        if messages and not self.links.send_all(peer, messages):
            kinds = Counter(type(message).__name__ for message in messages)
            self._core.log.info("peer unreachable", peer=peer, messages=dict(kinds))

    def deliver_relayed(self, asker: Asker, answer: Answer) -> None:
        """See ``Part``."""
        if isinstance(answer, Failure):
            self._refused_of(asker.peer, "relayed command", answer.message)
        self._relays.deliver(asker, answer)

    def tick(self) -> float | None:
        """See ``Part``."""
        if self._tell_again is not None and self._tell_again <= self._core.read_clocks().monotonic:
            self.tell_cordon()  # what was told may have been lost
        times = self.pairing.deadlines()
        if self._tell_again is not None:
            times.append(self._tell_again)
        keepalive = self.links.next_deadline()
        if keepalive is not None:
            times.append(keepalive)
        return min(times, default=None)

    def close(self) -> None:
        """See ``Part``."""
        self.pairing.close()
        self.links.close()

    def address(self) -> str | None:
        """Where this host can be dialled."""
        return self.links.address

    # --- messages of peers ------------------------------------------------------------------------

    def _received(self, event: Received) -> None:
        peer, message = event.peer, event.message
        if self.pairing.role_of(peer) is None:
            return  # revoked with the round under way
        match message:
            case RelayRequest():
                self._relays.serve(peer, message)
            case RelayAnswer():
                self._relays.answered(peer, message)
            case RelayReturned():
                self._relays.returned(peer, message)
            case RelayDropped():
                self._relays.drop(peer, message.relay)
            case Cordoned():
                (self._cordoned.add if message.on else self._cordoned.discard)(peer)
            case Hello() | Pair() | Paired() | PairRefused():
                self._refused_of(peer, "out of place", type(message).__name__)
            case Preflight():
                self._offered(peer, message)
            case Survey():
                self._surveyed(peer, message)
            case _:
                try:
                    self._pass_on(peer, message)
                except JobUnreadable as error:
                    self._refused_of(peer, "about an unreadable job", error.message)

    def _offered(self, peer: str, preflight: Preflight) -> None:
        """A host wants to hand a job over."""
        denied = self.permits.against_taking(peer)
        if denied is None:
            self._pass_on(peer, preflight)
            return
        self._refused_of(peer, "hand-off", f"job {preflight.job_id}: {denied.message}")
        self._core.send(ToPeer(peer, HandoffRefused(preflight.m, *to_wire(denied))))

    def _surveyed(self, peer: str, survey: Survey) -> None:
        """A host wants to know what a hand-off would meet here: of one that may not, only that."""
        denied = self.permits.against_taking(peer)
        if denied is None:
            self._pass_on(peer, survey)
            return
        asked = survey.asked
        self._refused_of(peer, "hand-off", f"job {asked.job_id}: {denied.message}")
        self._core.send(ToPeer(peer, denial(asked.m, survey.number, to_wire(denied))))

    def _pass_on(self, peer: str, message: Any) -> None:
        if isinstance(message, HandoffMessage):
            if self.handoffs is not None:
                self.handoffs.received(peer, message)
        elif isinstance(message, ClaimsMessage):
            if self.handoffs is not None:
                self.handoffs.claimed(peer, message)
        elif isinstance(message, SurveyMessage):
            if self.handoffs is not None:
                self.handoffs.surveyed(peer, message)
        else:
            line = self._lines.line(f"{peer} says", repr(message)[:500], self._core.now.monotonic)
            if line is not None:
                self._core.log.info("peer says", peer=peer, message=line)

    def _link_up(self, event: LinkUp) -> None:
        core = self._core
        core.log.info("peer connected", peer=event.peer, incarnation=event.hello.incarnation)
        self._cordoned.discard(event.peer)
        if core.cordoned:
            core.send(ToPeer(event.peer, Cordoned(on=True)))
        role = self.pairing.role_of(event.peer)
        if self.handoffs is not None and role is not None:
            # who only looks can't stop this host with what it says of its store
            believed = event.hello.knows_you if may_hand_over(role) else None
            self.handoffs.heard_hello(event.peer, believed)
        self.pairing.heard(event.peer, event.hello)
        self._relays.link_up(event.peer)
        if self.handoffs is not None:
            self.handoffs.link_back(event.peer)

    def connected(self, peer: str) -> bool:
        """Tell whether a peer can be reached."""
        return self.links.connected(peer)

    def store_of(self, peer: str) -> str | None:
        """Give the store that a peer said HELLO with last."""
        hello = self.links.hello_of(peer)
        return None if hello is None else hello.store_id

    def names(self) -> set[str]:
        """Name the paired hosts."""
        return self.pairing.names()

    def peers_body(self) -> dict[str, Any]:
        """List the peers."""
        refused = self.permits.refused
        return {
            "peers": [
                {
                    **self.pairing.describe(row, refused.get(row.name, 0)),
                    "cordoned": peer.cordoned if peer.reachable else None,
                }
                for row, peer in zip(self.pairing.rows(), self.standing(), strict=True)
            ]
        }

    def standing(self) -> list[Peer]:
        """Give the paired hosts, and which of them take jobs now."""
        return [
            Peer(row.name, reachable=self.links.connected(row.name), cordoned=row.name in self._cordoned)
            for row in self.pairing.rows()
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
        return self.pairing.require(name)

    # --- what ends with a pairing -----------------------------------------------------------------

    def part_with(self, peer: str, why: str) -> None:
        """Serve a host that is revoked no more, and wait for it no more."""
        self._relays.part_with(peer, why)

    # --- relayed commands ---------------------------------------------------------------------------

    def relay(self, host: str, asker: Asker, request: Request, *, job: str | None = None) -> None:
        """Let another host do something, since ``job`` is there; its answers go to the asker."""
        self.require(host)
        self._relays.relay(host, asker, request, job=job)

    def gone(self, asker: Asker) -> None:
        """Someone who asked here went away."""
        self._relays.gone(asker)
