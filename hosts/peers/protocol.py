"""What a supervisor needs of its connections to paired hosts; ``links`` makes them over TCP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import zmq

from sojourn.hosts.peers.keys import Keys
from sojourn.runtime.job import InviteRow, PeerRow
from sojourn.runtime.wire.peer import Hello, PeerMessage

if TYPE_CHECKING:
    from sojourn.hosts.peers.links import PeerEvent


class Links(Protocol):
    """All connections to peers; see ``hosts.peers.links.PeerLinks``."""

    address: str | None

    def add_invite(self, invite: InviteRow) -> None:
        """Let an invitation's key in."""
        ...

    def add_peer(self, row: PeerRow) -> None:
        """Let a paired host in, and dial it where it has an address."""
        ...

    def try_again(self, name: str) -> None:
        """Dial a host anew that refused this one: it doesn't any more."""
        ...

    def tell_role(self, name: str) -> None:
        """Tell a paired host what it may do here now."""
        ...

    def remove_peer(self, name: str, why: str) -> None:
        """End the pairing with a host, which is told why if it can be reached."""
        ...

    def refused_by(self, peer: str) -> str:
        """Say why a peer doesn't speak with this host; empty where it does, or said nothing."""
        ...

    def refusals_of(self, peer: str) -> int:
        """Give how many messages of a peer were refused or not listened to."""
        ...

    def refuse(self, peer: str, why: str) -> None:
        """Refuse what a message of a peer holds, as if it had been malformed itself."""
        ...

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Give every socket to poll."""
        ...

    def next_deadline(self) -> float | None:
        """Give the monotonic time at which ``receive`` has something to do by itself."""
        ...

    def connected(self, peer: str) -> bool:
        """Tell whether a peer can be reached."""
        ...

    def hello_of(self, peer: str) -> Hello | None:
        """Give what a peer said of itself last."""
        ...

    def why_apart(self, peer: str) -> str | None:
        """Say which side refused the other and why; None where none did, as far as is known."""
        ...

    def peers(self) -> list[PeerRow]:
        """Give the paired hosts."""
        ...

    def peer(self, name: str) -> PeerRow | None:
        """Give a paired host."""
        ...

    def send(self, peer: str, message: PeerMessage) -> bool:
        """Send a message; False where the peer can't be reached now. Never waits."""
        ...

    def send_all(self, peer: str, messages: Sequence[PeerMessage]) -> bool:
        """Send messages in their order, small ones together; False where any can't be sent now."""
        ...

    def answer_pair(self, route: bytes, message: PeerMessage) -> None:
        """Answer someone who wants to pair."""
        ...

    def receive(self, now: float) -> list[PeerEvent]:
        """Take in everything that came, without waiting (``now``: monotonic seconds)."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class Connect(Protocol):
    """Makes them."""

    def __call__(
        self, own: Hello, keys: Keys, listen: str | None, peers: Iterable[PeerRow],
        invites: Iterable[InviteRow], on_refused: Callable[[str, str], None],
    ) -> Links:
        """Connect to peers; arguments as of ``PeerLinks``, without its context."""
        ...
