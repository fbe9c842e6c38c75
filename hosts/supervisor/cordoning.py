"""The cordon: whether this host takes new jobs. Durable, told to every peer; moves nothing by itself."""

from __future__ import annotations

from typing import Any, Protocol

from sojourn.hosts.supervisor.core import Asker, Core
from sojourn.runtime.commands import cordoned
from sojourn.runtime.wire.whole_hosts import Cordon

META = "cordoned"
"""Name under which the store keeps it."""


class Answers(Protocol):
    """What is needed of the desk."""

    def reply(self, asker: Asker, body: dict[str, Any]) -> None: ...  # noqa: D102


class Peers(Protocol):
    """What is needed of the border."""

    def tell_cordon(self) -> None:
        """Tell every peer that can be reached whether this host takes jobs."""
        ...


class Incoming(Protocol):
    """What is needed of the hand-offs towards this host."""

    def refuse_undecided(self, why: str) -> None:
        """Refuse every one that wasn't promised anything yet."""
        ...


class Draining(Protocol):
    """What is needed of the drain."""

    def end(self) -> None:
        """Begin no more moves."""
        ...


class Cordoning:
    """Cordons and uncordons this host.

    Args:
        core: shared state; it holds whether the host is cordoned.
        answers: tells those who asked.
        peers: are told.
        incoming: what is arriving.
        draining: ends when the cordon is lifted.
    """

    def __init__(
        self, core: Core, answers: Answers, peers: Peers, incoming: Incoming, draining: Draining
    ) -> None:
        self._core = core
        self._answers = answers
        self._peers = peers
        self._incoming = incoming
        self._draining = draining

    def command(self, asker: Asker, command: Cordon) -> None:
        """Do what a client asks."""
        self.put(on=command.on)
        if not command.on:
            self._draining.end()
        self._answers.reply(asker, {"host": self._core.host, "cordoned": self._core.cordoned})

    def put(self, *, on: bool, durable: bool = True) -> None:
        """Cordon the host, or lift that.

        Args:
            on: which.
            durable: whether it outlasts this run of the supervisor.
        """
        core = self._core
        if durable:
            core.round.writes.meta_put[META] = "1" if on else "0"
        if on == core.cordoned:
            return
        core.cordoned = on
        core.log.info("cordoned" if on else "uncordoned", durable=durable)
        self._peers.tell_cordon()
        if on:
            # What is PREPARED was promised, and comes; everything else goes on at its source.
            self._incoming.refuse_undecided(cordoned(core.host))
