"""Which peers can be reached: when connections that come and go are told as LinkUp and LinkDown."""

from __future__ import annotations

import msgspec

from sojourn.runtime.wire.peer import Hello


class LinkUp(msgspec.Struct, frozen=True):
    """A paired host can be reached (again): what was sent to it before may be lost."""

    peer: str
    hello: Hello


class LinkDown(msgspec.Struct, frozen=True):
    """A paired host can't be reached any more."""

    peer: str


class Reach:
    """Remembers what was told of each peer, and what it said of itself last."""

    def __init__(self) -> None:
        self._hellos: dict[str, Hello] = {}
        self._up: set[str] = set()
        """Peers of which LinkUp was told last."""
        self._shaky: set[str] = set()
        """Peers that lost one of two connections: the next one is told, too."""

    def hello_of(self, peer: str) -> Hello | None:
        """Give what a peer said of itself last."""
        return self._hellos.get(peer)

    def reached(self, peer: str, hello: Hello) -> list[LinkUp | LinkDown]:
        """A connection to a peer exchanged HELLO; a restart of the peer is told as down and up."""
        before = self._hellos.get(peer)
        self._hellos[peer] = hello
        restarted = before is not None and (
            (before.store_id, before.incarnation, before.run)
            != (hello.store_id, hello.incarnation, hello.run)
        )
        up = peer in self._up
        if up and not restarted and peer not in self._shaky:
            return []
        self._up.add(peer)
        self._shaky.discard(peer)
        return [LinkDown(peer), LinkUp(peer, hello)] if up and restarted else [LinkUp(peer, hello)]

    def forget(self, peer: str) -> None:
        """A host is a peer no more."""
        self._hellos.pop(peer, None)
        self._up.discard(peer)
        self._shaky.discard(peer)

    def lost(self, peer: str, *, connected: bool) -> list[LinkUp | LinkDown]:
        """One connection to a peer ended; ``connected`` tells whether there is another."""
        if peer not in self._up:
            return []
        if connected:
            self._shaky.add(peer)
            return []
        self._up.discard(peer)
        self._shaky.discard(peer)
        return [LinkDown(peer)]
