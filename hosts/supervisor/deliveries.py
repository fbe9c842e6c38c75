"""Documents of jobs that ended, on their way to those who waited: made late, many at once, sent in pieces.

While a wait goes on, it is only noted here which of its jobs have come to their end. Their documents are
made when all have, in pieces between which other jobs go on. They are of the end all the same: before such
a job changes (it is tried again, or forgotten), its document is made. Decides nothing about waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from sojourn.hosts.supervisor.core import Asker, Core, ToAsker
from sojourn.hosts.supervisor.papers import documents
from sojourn.runtime.engine.inputs import Round
from sojourn.runtime.errors import JobUnreadable
from sojourn.runtime.wire import client as wire

FIRST_PIECE = 64
LARGEST_PIECE = 512
"""Documents that one round makes at most."""

PIECE_BYTES = 256 * 1024
"""Text that one round makes, about: how many documents that is, the pieces before have shown."""

MOST_ANSWERS = 512
MOST_BYTES = 4 * 1024 * 1024
"""Those who are answered in one round, and about how much they are sent: all may wait for one job."""


class Delivery(msgspec.Struct, eq=False):
    """The documents that someone is to have.

    Attributes:
        asker: who.
        rows: the jobs, in the order asked for.
        held: whether the condition held that was waited for.
        repeats: whether one is among them twice.
        made: row → document, of those that were made before their turn.
        sent: of how many of ``rows`` it was sent.
        kept: what is sent as a whole at the end: between hosts, one of several parts could be lost.
        complete: whether all of the jobs have come to their end.
        dropped: whether nobody wants them any more.
    """

    asker: Asker
    rows: list[int]
    held: bool = True
    repeats: bool = False
    made: dict[int, bytes] = {}
    sent: int = 0
    kept: list[bytes] = []
    complete: bool = False
    dropped: bool = False


class Deliveries:
    """All of them.

    Args:
        core: shared state.
        fail: called where a document can't be made.
    """

    def __init__(self, core: Core, fail: Callable[[Delivery, JobUnreadable], None]) -> None:
        self._core = core
        self._fail = fail
        self._owed: dict[int, dict[Delivery, None]] = {}
        """Row → deliveries that hold no document of it yet, though the job has come to its end."""
        self._due: deque[Delivery] = deque()
        """Those of whose jobs all have come to their end."""
        self._piece = FIRST_PIECE

    @property
    def under_way(self) -> bool:
        """Whether a next piece is to be sent."""
        return bool(self._due)

    def owe(self, delivery: Delivery, row: int) -> None:
        """Note that a job has come to its end, and is on disk like that."""
        self._owed.setdefault(row, {})[delivery] = None

    def complete(self, delivery: Delivery) -> None:
        """All jobs of a delivery have come to their end: its documents may be sent."""
        if not delivery.complete:
            delivery.complete = True
            self._due.append(delivery)

    def drop(self, delivery: Delivery) -> None:
        """Nobody wants a delivery any more."""
        delivery.dropped = True
        for row in delivery.rows[delivery.sent :]:
            self._forget(row, delivery)

    def before_commit(self, round_: Round) -> None:
        """Make the documents of those jobs that a round is about to change."""
        owed = self._owed.keys()
        if not owed:
            return
        writes = round_.writes
        changing = owed & round_.touched
        for rows in (writes.heads, writes.jobs_cleared, writes.jobs_removed):
            if rows:
                changing |= owed & rows
        if not changing:
            return
        for row, document in documents(self._core, sorted(changing)).items():
            for delivery in self._owed.pop(row, {}):
                if isinstance(document, JobUnreadable):
                    self._fail(delivery, document)
                else:
                    delivery.made[row] = document

    def send(self) -> list[Delivery]:
        """Make and send the next piece of what is due; give the deliveries that are done with it."""
        wanted: set[int] = set()
        pieces = self._pieces(wanted)
        if not pieces:
            return []
        found = documents(self._core, sorted(wanted))
        sent = 0
        for delivery, rows in pieces:
            if sent < MOST_BYTES:
                sent += self._send(delivery, rows, found)
            else:
                self._due.append(delivery)
        size = sum(len(made) for made in found.values() if isinstance(made, bytes))
        if size:
            self._piece = min(LARGEST_PIECE, max(1, len(wanted) * PIECE_BYTES // size))
        return [delivery for delivery, _ in pieces if delivery.sent == len(delivery.rows)]

    def _pieces(self, wanted: set[int]) -> list[tuple[Delivery, list[int]]]:
        """Choose what is sent in this round: (delivery, rows); adds to ``wanted`` what is to be made."""
        pieces: list[tuple[Delivery, list[int]]] = []
        # In turn, so that nobody waits for a large one to end.
        while self._due and len(pieces) < MOST_ANSWERS:
            delivery = self._due[0]
            if not delivery.dropped:
                room = self._piece - len(wanted)
                rows = delivery.rows[delivery.sent : delivery.sent + max(1, room)]
                more = {row for row in rows if row not in delivery.made and row not in wanted}
                if len(more) > room:
                    break
                wanted |= more
                pieces.append((delivery, rows))
            self._due.popleft()
        return pieces

    def _send(
        self, delivery: Delivery, rows: list[int], found: dict[int, bytes | JobUnreadable]
    ) -> int:
        """Send some of a delivery; give how many bytes."""
        texts: list[bytes] = []
        for row in rows:
            text = delivery.made.get(row) or found[row]
            if isinstance(text, JobUnreadable):
                self._fail(delivery, text)
                return 0
            texts.append(text)
        for row, text in zip(rows, texts, strict=True):
            self._forget(row, delivery)
            if delivery.repeats:
                delivery.made[row] = text
        asker = delivery.asker
        at, delivery.sent = delivery.sent, delivery.sent + len(rows)
        over = delivery.sent == len(delivery.rows)
        if not over:
            self._due.append(delivery)
        if asker.peer:
            delivery.kept += texts
            if not over:
                return 0
            at, texts = 0, delivery.kept
        body = wire.join_documents(texts, at, held=delivery.held)
        kind = wire.Reply if over else wire.Progress
        self._core.send(ToAsker(asker, kind(asker.request, body)))
        return len(body)

    def _forget(self, row: int, delivery: Delivery) -> None:
        """A delivery needs the document of a job no more, or has it."""
        waiting = self._owed.get(row)
        if waiting is not None:
            waiting.pop(delivery, None)
            if not waiting:
                del self._owed[row]
