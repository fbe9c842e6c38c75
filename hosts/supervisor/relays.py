"""Commands that another host does for those who ask here, and those that this host does for others.

A command may be asked for again on the other side whenever the link comes back; it goes on where it had
come to. Decides nothing about jobs: which host it is, the desk says.
"""

from __future__ import annotations

from functools import partial

import msgspec

from sojourn.hosts.peers.limits import LARGEST_FRAME
from sojourn.hosts.peers.protocol import Links
from sojourn.hosts.supervisor.core import Asker, Core, ToAsker, ToPeer
from sojourn.hosts.supervisor.desk import Desk
from sojourn.runtime.errors import HostUnable, NoSupervisor, NotFound, Refused, UsageError, to_wire
from sojourn.runtime.wire import client as wire
from sojourn.runtime.wire.client import Answer, Failure, Progress, Request
from sojourn.runtime.wire.peer import RelayAnswer, RelayDropped, RelayRequest, RelayReturned

LONGEST_ROUTE = 8
"""Hosts that a relayed command may pass through."""

LARGEST_RELAYED = LARGEST_FRAME - 64 * 1024
"""Bytes of a command or an answer that fits into a frame between hosts."""

MOST_RETURNS = 20
RETURNS_WITHIN = 10.0
"""A command that comes back more often than that in so many seconds goes round in a circle."""

MOST_SERVED = 10_000


class _Relay(msgspec.Struct):
    """A command that another host does for someone; ``job`` is what it went there for, if for any."""

    asker: Asker
    peer: str
    request: Request
    route: list[str]
    since: float
    job: str | None


class _Served(msgspec.Struct):
    """A command of another host's asker; ``route`` are the hosts it came through."""

    asker: Asker
    route: list[str]


class Relays:
    """All of them.

    Args:
        core: shared state.
        desk: does what peers relay.
        links: tells who can be reached.
    """

    def __init__(self, core: Core, desk: Desk, links: Links) -> None:
        self._core = core
        self._desk = desk
        self._links = links
        self._relays: dict[int, _Relay] = {}
        # Never a number of an earlier run: its late answers must not be taken for another command's.
        self._next = (core.store.incarnation << 32) + 1
        self._served: dict[tuple[str, int], _Served] = {}
        self._returns: dict[Asker, list[float]] = {}

    # --- for those who ask here -----------------------------------------------------------------

    def relay(self, host: str, asker: Asker, request: Request, *, job: str | None) -> None:
        """Let another host do something; its answers go to the asker.

        Args:
            host: which.
            asker: who asked.
            request: what.
            job: the job for whose sake it is that host: where that goes down, another one may have it.

        Raises:
            NoSupervisor: if it can't be reached now.
            NotFound: if the command has come through too many hosts.
            UsageError: if it is too large to travel.
        """
        served = self._served.get((asker.peer, asker.relay))
        route = [*(served.route if served is not None else ()), self._core.host]
        if host in route:
            self._return(asker, host)
            return
        if len(route) > LONGEST_ROUTE:
            raise self._circle([*route, host])
        if not self._links.connected(host):
            raise NoSupervisor(
                f"host {host!r} can't be reached from host {self._core.host!r} now: see that its "
                "supervisor is up, or ask it directly"
            )
        size = len(wire.encode(request))
        if size > LARGEST_RELAYED:
            raise UsageError(
                f"the request has {size} bytes, and between hosts it may have {LARGEST_RELAYED}: ask "
                f"host {host!r} itself"
            )
        number = self._next
        self._next += 1
        self._relays[number] = _Relay(asker, host, request, route, self._core.now.monotonic, job)
        self._send(number)

    def _send(self, number: int) -> None:
        relay = self._relays[number]
        waited = self._core.now.monotonic - relay.since
        encoded = wire.encode(wire.after_waiting(relay.request, waited))
        self._core.send(ToPeer(relay.peer, RelayRequest(number, encoded, relay.route)))

    def link_up(self, peer: str) -> None:
        """A peer can be reached again: what was asked of it, or its answer, may be lost."""
        for number, relay in self._relays.items():
            if relay.peer == peer:
                self._send(number)

    def link_down(self, peer: str) -> None:
        """A peer went down: commands that it passed on may have a shorter way; the others wait for it."""
        for number, relay in list(self._relays.items()):
            if relay.peer == peer and relay.job is not None:
                self._desk.find_owner(relay.job, partial(self._redirect, number, peer))

    def _redirect(self, number: int, peer: str, host: str | None) -> None:
        """Ask another host what one was asked that is down."""
        relay = self._relays.get(number)
        if relay is None or relay.peer != peer or host is None or self._links.connected(peer):
            return
        if host not in relay.route:
            relay.peer = host
            self._send(number)

    def gone(self, asker: Asker) -> None:
        """Someone who asked here went away: nobody needs to follow for him."""
        for number, relay in list(self._relays.items()):
            if relay.asker == asker:
                del self._relays[number]
                self._core.send(ToPeer(relay.peer, RelayDropped(number)))

    def answered(self, peer: str, message: RelayAnswer) -> None:
        """Take in what another host answers."""
        relay = self._relays.get(message.relay)
        if relay is None or relay.peer != peer:
            return
        try:
            answer = wire.decode_answer(message.answer)
            news = {} if isinstance(answer, Failure) else wire.decode_body(answer.body)
            if isinstance(answer, Progress):
                relay.request = wire.after_news(relay.request, news)
        except msgspec.DecodeError as error:
            self._links.refuse(peer, f"the answer in it is malformed ({error})")
            return
        answer.request = relay.asker.request
        if not isinstance(answer, Progress):
            del self._relays[message.relay]
            self._returns.pop(relay.asker, None)
        self._core.send(ToAsker(relay.asker, answer))

    def returned(self, peer: str, message: RelayReturned) -> None:
        """The job has come back to a host on the command's way: it is done there."""
        relay = self._relays.get(message.relay)
        if relay is None or relay.peer != peer:
            return
        del self._relays[message.relay]
        if message.host != self._core.host:
            self._return(relay.asker, message.host)
            return
        now = self._core.now.monotonic
        recent = [at for at in self._returns.get(relay.asker, ()) if now - at < RETURNS_WITHIN]
        self._returns[relay.asker] = [*recent, now]
        if len(recent) >= MOST_RETURNS:
            self._desk.fail(relay.asker, self._circle([*relay.route, peer, message.host]))
            return
        request = wire.after_waiting(relay.request, now - relay.since)
        self._desk.handle(
            relay.asker, msgspec.structs.replace(request, request=relay.asker.request)
        )

    def _return(self, asker: Asker, host: str) -> None:
        """Tell the host that a command came from that its job is at a host before this one."""
        if (asker.peer, asker.relay) not in self._served:
            raise self._circle([self._core.host, host])
        self._core.send(ToPeer(asker.peer, RelayReturned(asker.relay, host)))

    def _circle(self, route: list[str]) -> NotFound:
        return NotFound(
            f"the command went round in a circle ({' → '.join(route)}): ask the host that owns the job"
        )

    def part_with(self, peer: str, why: str) -> None:
        """A host is revoked: nothing is asked of it any more, and nothing done for it.

        Args:
            peer: it.
            why: for those who wait for its answer.
        """
        for number, relay in list(self._relays.items()):
            if relay.peer == peer:
                del self._relays[number]
                self._returns.pop(relay.asker, None)
                self._desk.fail(relay.asker, Refused(f"{why} on host {self._core.host!r}; ask there"))
        for other, number in list(self._served):
            if other == peer:
                self.drop(peer, number)

    # --- for others -------------------------------------------------------------------------------

    def serve(self, peer: str, message: RelayRequest) -> None:
        """Do what a peer relays; when it comes again, in place of what was done for it so far."""
        try:
            request = wire.decode_request(message.request)
        except msgspec.DecodeError as error:
            self._links.refuse(peer, f"the request in it is malformed ({error})")
            return
        self.drop(peer, message.relay)
        asker = Asker(b"", peer, message.relay, request.request)
        self._served[(peer, message.relay)] = _Served(asker, message.route)
        if len(self._served) > MOST_SERVED:
            del self._served[next(iter(self._served))]
        self._core.log.info("relayed command", peer=peer, command=type(request.command).__name__)
        self._desk.handle(asker, request)

    def drop(self, peer: str, number: int) -> None:
        """Whoever a peer asked for went away, or asks anew."""
        served = self._served.pop((peer, number), None)
        if served is not None:
            self._desk.gone(served.asker)

    def deliver(self, asker: Asker, answer: Answer) -> None:
        """Send an answer back to the peer that relayed the request."""
        encoded = wire.encode(answer)
        if len(encoded) > LARGEST_RELAYED:
            too_large = HostUnable(
                f"the answer of host {self._core.host!r} has {len(encoded)} bytes, and between hosts it "
                f"may have {LARGEST_RELAYED}: ask host {self._core.host!r} itself"
            )
            encoded = wire.encode(Failure(answer.request, *to_wire(too_large)))
        sent = self._links.send(asker.peer, RelayAnswer(asker.relay, encoded))
        if not sent and not isinstance(answer, Progress):
            self._core.log.info("answer to a relayed command lost", peer=asker.peer)
