"""The network between simulated hosts: connections that carry frames, and all that goes wrong with them.

A connection is what TCP gives: frames arrive while it lasts. Faults lose, repeat, delay and reorder frames
all the same, and a connection that lost one breaks soon after, at each end in its own time. Which events a
supervisor is told of is worked out by the shipped ``Reach``, as ``PeerLinks`` does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec
import zmq

from sojourn.hosts.peers.greeting import judge
from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.links import PeerEvent, Received
from sojourn.hosts.peers.reach import Reach
from sojourn.runtime.job import InviteRow, PeerRow
from sojourn.runtime.wire.claims import ClaimsMessage
from sojourn.runtime.wire.handoff import HandoffMessage
from sojourn.runtime.wire.peer import (
    Hello,
    HelloRefused,
    Known,
    PeerMessage,
    decode_all,
    encode,
    frames_of,
)
from tests.simulation.hosts.schedule import Schedule


class Weather(msgspec.Struct):
    """How bad the network is: probabilities per frame, seconds for delays.

    Attributes:
        loss: a frame is lost, and its connection breaks soon.
        again: a frame of a hand-off arrives twice.
        late: a frame of a hand-off arrives late, behind others.
        delay: longest usual delay.
    """

    loss: float = 0.0
    again: float = 0.0
    late: float = 0.0
    delay: float = 0.002


class Place(Protocol):
    """What the network needs of a host."""

    @property
    def name(self) -> str: ...
    @property
    def links(self) -> SimLinks | None: ...
    def wake(self) -> None: ...
    def leaves(self, door: str) -> None: ...


class Connection:
    """One connection between two hosts."""

    __slots__ = ("arrivals", "broken", "doomed", "ends")

    def __init__(self, one: Place, other: Place) -> None:
        self.ends = (one, other)
        self.broken = False
        self.doomed = False
        self.arrivals: dict[str, float] = {}
        """Host → when the last frame for it arrives, so that frames keep their order."""


class Network:
    """All connections.

    Args:
        schedule: time and chance.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.weather = Weather()
        self.hosts: list[Place] = []
        self.blocked: set[tuple[str, str]] = set()
        """(from, to): ways on which nothing arrives."""
        self._live: dict[frozenset[str], Connection] = {}
        self.counts = {"frames": 0, "lost frames": 0, "repeated": 0, "late": 0, "breaks": 0}

    # --- connections ------------------------------------------------------------------------------

    def connect_all(self) -> None:
        """Make the connections that can be."""
        for place, one in enumerate(self.hosts):
            for other in self.hosts[place + 1 :]:
                self.connect(one, other)

    def connect(self, one: Place, other: Place) -> None:
        """Make a connection, if both are there and every way between them is open."""
        pair = frozenset((one.name, other.name))
        way = (one.name, other.name)
        if pair in self._live or one.links is None or other.links is None:
            return
        if way in self.blocked or way[::-1] in self.blocked:
            return
        made = self._live[pair] = Connection(one, other)
        self._schedule.note("network", f"{one.name} dials {other.name}")
        one.links.dialled(other.name, made)

    def break_off(self, connection: Connection, *, notice: float) -> None:
        """End a connection; each end notices in its own time, within so many seconds."""
        if connection.broken:
            return
        connection.broken = True
        one, other = connection.ends
        self._live.pop(frozenset((one.name, other.name)), None)
        self.counts["breaks"] += 1
        self._schedule.note("network", f"{one.name} - {other.name} breaks")
        for end, peer in ((one, other.name), (other, one.name)):
            links = end.links
            if links is not None:
                self._schedule.after(self._schedule.draw(0.0, notice), self._told(links, peer, connection))
        self._schedule.after(self._schedule.draw(0.01, 0.4), lambda: self.connect(one, other))

    def _told(self, links: SimLinks, peer: str, connection: Connection) -> Callable[[], None]:
        return lambda: links.lost(peer, connection)

    def between(self, one: str, other: str) -> Connection | None:
        """Give the connection of two hosts."""
        return self._live.get(frozenset((one, other)))

    def host_fell(self, name: str, *, silently: bool) -> None:
        """A host is gone: the others notice soon, or late if its machine fell silent."""
        for connection in [c for pair, c in list(self._live.items()) if name in pair]:
            self.break_off(connection, notice=4.0 if silently else 0.3)

    # --- frames -----------------------------------------------------------------------------------

    def carry(self, connection: Connection, sender: str, frame: bytes, *, fragile: bool) -> None:
        """Take a frame to the other end, as the weather permits.

        Args:
            connection: on which.
            sender: host that sends it.
            frame: it.
            fragile: whether it may come twice or late: it belongs to a protocol that must bear that.
        """
        schedule, weather = self._schedule, self.weather
        self.counts["frames"] += 1
        one, other = connection.ends
        target = other if one.name == sender else one
        if connection.broken:
            return
        if (sender, target.name) in self.blocked or schedule.happens(weather.loss):
            self.counts["lost frames"] += 1
            schedule.note("network", f"{sender} -> {target.name} loses a frame")
            self._doom(connection)
            return
        at = max(
            schedule.now + schedule.draw(0.0002, weather.delay),
            connection.arrivals.get(target.name, 0.0),
        )
        connection.arrivals[target.name] = at
        if fragile and schedule.happens(weather.again):
            self.counts["repeated"] += 1
            self._deliver(connection, target, frame, at - schedule.now + schedule.draw(0.0, 1.0))
        if fragile and schedule.happens(weather.late):
            self.counts["late"] += 1
            at += schedule.draw(0.0, 1.0)
        self._deliver(connection, target, frame, at - schedule.now)

    def _doom(self, connection: Connection) -> None:
        if not connection.doomed:
            connection.doomed = True
            self._schedule.after(
                self._schedule.draw(0.05, 2.0), lambda: self.break_off(connection, notice=1.0)
            )

    def _deliver(self, connection: Connection, target: Place, frame: bytes, seconds: float) -> None:
        peer = next(end.name for end in connection.ends if end is not target)

        def arrive() -> None:
            links = target.links
            if not connection.broken and links is not None:
                links.arrived(peer, connection, frame)

        self._schedule.after(seconds, arrive)


class SimLinks:
    """One host's connections: what ``PeerLinks`` is over TCP. See ``Links`` for its methods.

    Args:
        place: whose.
        network: it.
    """

    def __init__(
        self, place: Place, network: Network, own: Hello, peers: Iterable[PeerRow]
    ) -> None:
        self._place = place
        self._network = network
        self.address: str | None = f"tcp://{place.name}:1"
        self._own = msgspec.structs.replace(own, address=self.address)
        self._peers = {row.name: row for row in peers}
        self._reach = Reach()
        self._routes: dict[str, Connection] = {}
        self._arrived: deque[tuple[str, Connection, bytes]] = deque()
        self._events: list[PeerEvent] = []

    # --- what the network does --------------------------------------------------------------------

    def dialled(self, peer: str, connection: Connection) -> None:
        """A connection was made: say HELLO on it."""
        self._hello(peer, connection)

    def _hello(self, peer: str, connection: Connection) -> None:
        last = self._reach.hello_of(peer) or self._peers.get(peer)
        known = None if last is None else Known(last.store_id, last.incarnation, last.run)
        frame = encode(msgspec.structs.replace(self._own, knows_you=known))
        self._network.carry(connection, self._place.name, frame, fragile=False)

    def arrived(self, peer: str, connection: Connection, frame: bytes) -> None:
        """A frame came."""
        self._arrived.append((peer, connection, frame))
        self._place.wake()

    def lost(self, peer: str, connection: Connection) -> None:
        """The end of a connection is noticed."""
        if self._routes.get(peer) is connection:
            del self._routes[peer]
            self._events += self._reach.lost(peer, connected=False)
            self._place.wake()

    # --- what a supervisor does -------------------------------------------------------------------

    def receive(self, now: float) -> list[PeerEvent]:
        while self._arrived:
            peer, connection, frame = self._arrived.popleft()
            for message in decode_all(frame):
                if isinstance(message, Hello):
                    self._heard_hello(peer, connection, message)
                elif self._routes.get(peer) is connection:
                    self._events.append(Received(peer, message))
        events, self._events = self._events, []
        return events

    def _heard_hello(self, peer: str, connection: Connection, hello: Hello) -> None:
        if isinstance(judge(self._own, peer, hello), HelloRefused) or connection.broken:
            return
        if connection.ends[0] is not self._place:
            self._hello(peer, connection)
        if self._routes.get(peer, connection) is not connection:
            self._events += self._reach.lost(peer, connected=True)
        self._routes[peer] = connection
        self._events += self._reach.reached(peer, hello)

    def try_again(self, name: str) -> None:
        """Whoever is to meet here dials again anyway."""

    def tell_role(self, name: str) -> None:
        """Nobody here asks for its role."""

    def remove_peer(self, name: str, why: str) -> None:
        self._peers.pop(name, None)
        self._routes.pop(name, None)

    def refused_by(self, peer: str) -> str:
        return ""

    def refusals_of(self, peer: str) -> int:
        return 0

    def refuse(self, peer: str, why: str) -> None:
        raise AssertionError(f"{peer} said what is malformed: {why}")

    def send(self, peer: str, message: PeerMessage) -> bool:
        return self.send_all(peer, [message])

    def send_all(self, peer: str, messages: Sequence[PeerMessage]) -> bool:
        self._place.leaves("peer")
        connection = self._routes.get(peer)
        if connection is None:
            return False
        fragile = all(isinstance(message, (HandoffMessage, ClaimsMessage)) for message in messages)
        for frame in frames_of(messages):
            self._network.carry(connection, self._place.name, frame, fragile=fragile)
        return True

    def add_peer(self, row: PeerRow) -> None:
        self._peers[row.name] = row

    def add_invite(self, invite: InviteRow) -> None:
        """Nobody pairs here."""

    def answer_pair(self, route: bytes, message: PeerMessage) -> None:
        """Nobody pairs here."""

    def sockets(self) -> list[zmq.Socket[bytes]]:
        return []

    def next_deadline(self) -> float | None:
        return None

    def connected(self, peer: str) -> bool:
        return peer in self._routes

    def hello_of(self, peer: str) -> Hello | None:
        return self._reach.hello_of(peer)

    def why_apart(self, peer: str) -> str | None:
        return None

    def peers(self) -> list[PeerRow]:
        return sorted(self._peers.values(), key=lambda row: row.name)

    def peer(self, name: str) -> PeerRow | None:
        return self._peers.get(name)

    def close(self) -> None:
        """The network closes them."""


def connector(place: Place, network: Network, keep: Callable[[SimLinks], None]) -> Connector:
    """Give what a supervisor makes its connections with."""
    return Connector(place, network, keep)


class Connector:
    """See ``Connect``."""

    def __init__(self, place: Place, network: Network, keep: Callable[[SimLinks], None]) -> None:
        self._place = place
        self._network = network
        self._keep = keep

    def __call__(
        self, own: Hello, keys: Keys, listen: str | None, peers: Iterable[PeerRow],
        invites: Iterable[InviteRow], on_refused: Callable[[str, str], None],
    ) -> SimLinks:
        made = SimLinks(self._place, self._network, own, peers)
        self._keep(made)
        return made
