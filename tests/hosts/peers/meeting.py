"""Hosts for tests of links: real sockets in one process, a context per host, polled by hand."""

from __future__ import annotations

import socket as sockets
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TypeVar

import zmq

from sojourn.hosts.peers.joining import Joining
from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.links import PeerEvent, PeerLinks
from sojourn.hosts.peers.tokens import Token
from sojourn.runtime.errors import SojournError
from sojourn.runtime.job import InviteRow, PeerRow
from sojourn.runtime.wire.peer import PROTOCOL_VERSIONS, Hello, Pair, Paired

T = TypeVar("T")
Context = zmq.Context[zmq.Socket[bytes]]
LOOPBACK = "tcp://127.0.0.1:0"
PATIENCE = 15.0


def fresh_keys() -> Keys:
    public, secret = zmq.curve_keypair()
    return Keys(public.decode(), secret.decode())


class Party:
    """Anything that is polled: gives its sockets, and is asked to receive."""

    def sockets(self) -> list[zmq.Socket[bytes]]:
        raise NotImplementedError

    def look(self, now: float) -> float | None:
        """Receive; give the monotonic time of the next look that no socket announces."""
        raise NotImplementedError


class Host(Party):
    """A host that has only links; collects what they tell."""

    def __init__(
        self,
        name: str,
        *,
        listen: str | None = LOOPBACK,
        keys: Keys | None = None,
        incarnation: int = 1,
        versions: tuple[int, int] = PROTOCOL_VERSIONS,
    ) -> None:
        self.name = name
        self.keys = keys or fresh_keys()
        self.listen: str | None = listen
        self.incarnation = incarnation
        self.versions = versions
        self.skipped_seconds = 0.0
        self.events: list[PeerEvent] = []
        self.refusals: list[tuple[str, str]] = []
        self.start()

    def start(self, peers: Iterable[PeerRow] = (), invites: Iterable[InviteRow] = ()) -> None:
        self.start_with(lambda kind, detail: self.refusals.append((kind, detail)), peers, invites)

    def start_with(
        self, on_refused: Callable[[str, str], None], peers: Iterable[PeerRow] = (),
        invites: Iterable[InviteRow] = (),
    ) -> None:
        """Start with a log of one's own."""
        self.context: Context = zmq.Context()
        own = Hello(self.name, f"store of {self.name}", self.incarnation, *self.versions)
        try:
            self.links = PeerLinks(
                self.context, own, self.keys, self.listen, peers, invites, on_refused,
            )
        except SojournError:
            self.context.destroy(linger=0)
            raise

    def stop(self) -> None:
        if not self.context.closed:
            self.links.close()
            self.context.destroy(linger=0)

    def restart(self) -> None:
        """Come back at the same address, with the same key and the next incarnation."""
        address, peers = self.links.address, self.links.peers()
        self.stop()
        self.listen = address
        self.incarnation += 1
        self.events.clear()
        self.start(peers)

    def row(self, *, address: bool = True, key: str | None = None) -> PeerRow:
        """What another host remembers of this one."""
        return PeerRow(
            self.name, key or self.keys.public, self.links.address if address else None,
            f"store of {self.name}", 0.0,
        )

    def sockets(self) -> list[zmq.Socket[bytes]]:
        return self.links.sockets()

    def look(self, now: float) -> float | None:
        self.events += self.links.receive(now + self.skipped_seconds)
        due = self.links.next_deadline()
        return None if due is None else due - self.skipped_seconds

    def told(self, kind: str) -> list[str]:
        """The details of every refusal of a kind."""
        return [detail for what, detail in self.refusals if what == kind]

    def messages(self) -> list[object]:
        return [getattr(event, "message", None) for event in self.events if hasattr(event, "message")]


class Joiner(Party):
    """A host that joins; keeps the outcome."""

    def __init__(self, host: Host, token: Token, pair: Pair | None = None) -> None:
        self.outcome: Paired | SojournError | None = None
        self.skipped_seconds = 0.0
        said = pair or Pair(host.name, host.keys.public, host.links.address, "store")
        self.joining = Joining(host.context, token, said, time.monotonic())

    def sockets(self) -> list[zmq.Socket[bytes]]:
        return self.joining.sockets()

    def look(self, now: float) -> float | None:
        if self.outcome is None:
            self.outcome = self.joining.receive(now + self.skipped_seconds)
        return None


def poll(
    parties: Iterable[Party],
    until: Callable[[], T],
    what: str = "",
    bare: Iterable[zmq.Socket[bytes] | sockets.socket] = (),
) -> T:
    """Run the reactor of several parties until a condition holds; give what it gave.

    The condition is looked at again when one of the ``bare`` sockets can be read.

    Sleeps like the supervisor does: until a socket can be read or a deadline of a party is there.
    """
    parties, bare = list(parties), list(bare)
    end = time.monotonic() + PATIENCE
    while True:
        now = time.monotonic()
        deadlines = [due for party in parties if (due := party.look(now)) is not None]
        value = until()
        if value:
            return value
        if now > end:
            raise AssertionError(f"waited {PATIENCE:g} s in vain for {what or 'a condition'}")
        poller = zmq.Poller()
        for one in bare:
            poller.register(one, zmq.POLLIN)
        for party in parties:
            for socket in party.sockets():
                poller.register(socket, zmq.POLLIN)
        wait = min([1.0, *(due - time.monotonic() for due in deadlines)])
        poller.poll(max(0, int(wait * 1000) + 1))


@contextmanager
def hosts(*made: Host) -> Generator[tuple[Host, ...]]:
    """Stop hosts at the end."""
    try:
        yield made
    finally:
        for host in made:
            host.stop()


def pair(one: Host, other: Host) -> None:
    """Make two hosts know each other, as after a join."""
    one.links.add_peer(other.row())
    other.links.add_peer(one.row())


def both_connected(one: Host, other: Host) -> bool:
    return one.links.connected(other.name) and other.links.connected(one.name)


@contextmanager
def raw_dealer(
    server: Host, keys: Keys, *, unread: int = 1000
) -> Generator[zmq.Socket[bytes]]:
    """A bare socket with some key, dialling a host: it can send what no host would.

    Args:
        server: whom it dials.
        keys: its own.
        unread: messages after which it takes in no more.
    """
    assert server.links.address is not None
    context: Context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    try:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVHWM, unread)
        socket.set(zmq.CURVE_SERVERKEY, server.keys.public.encode())
        socket.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
        socket.set(zmq.CURVE_SECRETKEY, keys.secret.encode())
        socket.connect(server.links.address)
        yield socket
    finally:
        context.destroy(linger=0)
