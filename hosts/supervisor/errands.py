"""What a part of this supervisor asks for like a client: the same checks, the same refusals, no socket.

The answer comes once the round that it belongs to is on disk, to a function that whoever asked named.
"""

from __future__ import annotations

from collections.abc import Callable

from sojourn.hosts.supervisor.core import Asker
from sojourn.runtime.wire.client import Answer, Command, Progress, Request

ERRAND = "#errand"
"""Peer name of the inner asker; no host can have it."""


class Errands:
    """All that were asked for and not answered yet.

    Args:
        handle: does what is asked, as for a client.
        new_id: makes the ids of requests.
    """

    def __init__(
        self, handle: Callable[[Asker, Request], None], new_id: Callable[[], str]
    ) -> None:
        self._handle = handle
        self._new_id = new_id
        self._waiting: dict[int, Callable[[Answer], None]] = {}
        self._next = 1

    def ask(self, command: Command, then: Callable[[Answer], None]) -> None:
        """Ask for something.

        Args:
            command: what.
            then: gets every answer, the last one last; never called before this returns.
        """
        number = self._next
        self._next += 1
        self._waiting[number] = then
        self._handle(Asker(b"", ERRAND, number, number), Request(number, self._new_id(), None, command))

    def answered(self, number: int, answer: Answer) -> None:
        """Take in an answer."""
        then = self._waiting.get(number)
        if then is None:
            return
        if not isinstance(answer, Progress):
            del self._waiting[number]
        then(answer)
