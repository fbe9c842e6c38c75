"""Copying a running job: what has to travel, in order, and what changed since it did.

Reads the job as it is on disk, so it is asked only right after a commit. History, logs and blobs only grow:
a position says how far they went. What changes (messages, attributes, shared map, questions) is kept as a
set of keys, each sent once with its newest value; so what is remembered stays as small as the job, however
slow the other side is. Sends nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sojourn.hosts.store.blobs import DAMAGED, is_whole, lacks
from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.refilling import blobs_of
from sojourn.runtime.engine.inputs import Now
from sojourn.runtime.engine.model import Job, Message
from sojourn.runtime.errors import StoreFailed
from sojourn.runtime.handoff.parts import ROW_BYTES, TINY, Final, Part, encode_part
from sojourn.runtime.handoff.stream import Piece, cut
from sojourn.runtime.job import (
    AttributeRow,
    BlobRow,
    MessageRow,
    QuestionRow,
    RoutineCounts,
    SharedRow,
    Writes,
)
from sojourn.runtime.wire.handoff import CHUNK_BYTES

PART_BYTES = CHUNK_BYTES - 16 * 1024
"""About how large a part gets, so that it fits into one chunk."""

ROWS_AT_ONCE = 1000
"""Rows of history or log that are read from the store at once."""

MESSAGES_AT_ONCE = 100
"""Messages that are on disk alone and are read at once."""


class Copying:
    """One copy under way.

    Args:
        core: shared state.
        job: the job.
        there: what the target holds of its blobs already: (digest, bytes).
        begun: both clocks at the begin of the hand-off, from which dues count.
    """

    def __init__(self, core: Core, job: Job, there: Iterable[tuple[str, int]], begun: Now) -> None:
        self._core = core
        self._job = job
        self._begun = begun
        self._there = dict(there)
        self._blobs: dict[str, tuple[int, int]] = {}
        """Blob to send → (offset, size)."""
        self._blobs_known: set[str] = set()
        self._blob_rows: list[BlobRow] = []
        self._messages: dict[int, None] = {}
        self._attributes: dict[tuple[str, str], None] = {}
        self._shared: dict[str, None] = {}
        self._questions: dict[str, None] = {}
        self._history = 0
        self._logs = 0
        self._log_end: int | None = None
        self._sent_messages = 0
        """Highest number of a message that went over: one beyond it that ends is never told of."""
        self._origins: set[int] = set()
        self._begin = True

    # --- what changes -----------------------------------------------------------------------------

    def note(self, writes: Writes) -> None:
        """Remember what a committed round changed of the job."""
        row = self._job.row
        touched = [put.message for put in writes.messages_put if put.job == row]
        touched.extend(change[5] for change in writes.messages_changed if change[4] == row)
        self._messages.update(dict.fromkeys(touched))
        for job, number in writes.messages_deleted:
            if job == row:
                if number > self._sent_messages:
                    self._messages.pop(number, None)
                else:
                    self._messages[number] = None
        self._attributes.update(
            dict.fromkeys((routine, name) for job, routine, _, name in writes.attributes if job == row)
        )
        self._shared.update(dict.fromkeys(key for job, key in writes.shared if job == row))
        self._questions.update(
            dict.fromkeys(put.question for put in writes.questions_put if put.job == row)
        )
        self._questions.update(
            dict.fromkeys(question for job, question in writes.questions_deleted if job == row)
        )
        for blob in writes.blobs_put:
            if blob.job == row:
                self._add_blob(blob.digest, blob.size)
        for line in writes.logs:
            if line.job == row:
                self._log_end = line.sequence

    def _add_blob(self, digest: str, size: int) -> None:
        if digest in self._blobs_known:
            return
        self._blobs_known.add(digest)
        self._blob_rows.append(BlobRow(0, digest, size))
        have = self._there.get(digest, 0)
        if have < size or digest not in self._there:
            self._blobs[digest] = (have, size)

    def _first_look(self) -> None:
        """Note everything that the job has, at the first time."""
        self._begin = False
        job = self._job
        for digest, size in sorted(blobs_of(self._core, job).items()):
            self._add_blob(digest, size)
        numbers = self._core.store.message_numbers(job.row) if job.stored else sorted(job.messages)
        self._messages.update(dict.fromkeys(numbers))
        for actor in job.actors.values():
            self._attributes.update(dict.fromkeys((actor.routine, name) for name in actor.attributes))
        self._shared.update(dict.fromkeys(job.shared))
        self._questions.update(dict.fromkeys(job.questions))
        self._log_end = self._core.last_log(job.row) and self._core.store.last_numbers(job.row)[2]

    # --- what travels next ------------------------------------------------------------------------

    def take(self, room: int, *, final: bool) -> tuple[list[Piece], bool]:
        """Read what travels next.

        Args:
            room: about how many bytes.
            final: whether the job is frozen, so that the copy ends with what says so.

        Returns:
            The pieces, and whether the part that ends the copy is among them.

        Raises:
            StoreFailed: if a blob or the store can't be read.
        """
        if self._begin:
            self._first_look()
        pieces: list[Piece] = []
        while room > 0:
            fresh = self._next(room)
            if not fresh:
                if final:
                    pieces.extend(cut(encode_part(Part(final=self._final()))))
                return pieces, final
            pieces.extend(fresh)
            room -= sum(len(piece.data) for piece in fresh)
        return pieces, False

    def left(self) -> int:
        """Estimate the bytes that are still to be sent, 0 only where nothing is."""
        job = self._job
        rows = len(self._attributes) + len(self._shared) + len(self._questions) + len(self._blob_rows)
        rows += len(self._messages) + job.next_sequence - 1 - self._history
        rows += max(0, (self._log_end or 0) - self._logs)
        return rows * ROW_BYTES + sum(size - offset for offset, size in self._blobs.values())

    def _next(self, room: int) -> list[Piece]:
        if self._blobs:
            return self._blob_pieces(room)
        part = Part()
        weight = 0
        for size in self._fill(part):
            weight += size
            if weight >= PART_BYTES:
                break
        return cut(encode_part(part)) if weight else []

    def _fill(self, part: Part) -> Iterator[int]:
        """Move rows into a part; gives the weight of each."""
        part.blobs, self._blob_rows = self._blob_rows, []
        if part.blobs:
            yield ROW_BYTES * len(part.blobs)
        yield from self._fill_history(part)
        yield from self._fill_logs(part)
        yield from self._fill_messages(part)
        yield from self._fill_values(part)

    def _blob_pieces(self, room: int) -> list[Piece]:
        """Read on in a blob: one piece at least, and no more than there is room for."""
        digest, (offset, size) = next(iter(self._blobs.items()))
        read: list[bytes] = []
        end = offset
        try:
            with (self._core.home.blobs / digest).open("rb") as file:
                file.seek(offset)
                while end < size and (not read or end - offset + CHUNK_BYTES <= room):
                    data = file.read(CHUNK_BYTES)
                    if not data:
                        break
                    read.append(data)
                    end += len(data)
        except OSError as error:
            raise self._unreadable(digest, f"can't be read ({error.strerror})") from error
        if not read and offset < size:
            raise self._unreadable(digest, f"is damaged: its file ends at byte {offset} of {size}")
        if end < size:
            self._blobs[digest] = (end, size)
            return [Piece(data, digest, last=False) for data in read]
        del self._blobs[digest]
        pieces = [Piece(data, digest, last=False) for data in read] or [Piece(b"", digest, last=False)]
        return [*pieces[:-1], pieces[-1]._replace(last=True)]

    def damaged(self, digests: Iterable[str]) -> StoreFailed | None:
        """Say which of some blobs is damaged here; None where none is.

        The target looks through each that comes, so nobody does here before it refuses one.

        Args:
            digests: blobs that were sent to their end.
        """
        for digest in digests:
            if not is_whole(self._core.home.blobs / digest, digest):
                return self._unreadable(digest, DAMAGED)
        return None

    def _unreadable(self, digest: str, what: str) -> StoreFailed:
        job, host = self._job.head.job_id, self._core.host
        wrong = lacks(self._core.home.blobs, digest, f"of job {job} on host {host!r} {what}")
        return StoreFailed(f"{wrong}, then move it again")

    def _fill_history(self, part: Part) -> Iterator[int]:
        store, row = self._core.store, self._job.row
        while self._history < self._job.next_sequence - 1:
            entries = store.history_after(row, self._history, ROWS_AT_ONCE)
            if not entries:
                # What retention or a gap left out: nothing more is there.
                self._history = self._job.next_sequence - 1
                return
            for entry in entries:
                if entry.origin not in self._origins:
                    self._origins.add(entry.origin)
                    part.origins[entry.origin] = self._core.engine.book.origins.origin(entry.origin)
                part.history.append(entry)
                self._history = entry.sequence
                yield ROW_BYTES + (len(entry.error) if entry.error else 0)

    def _fill_logs(self, part: Part) -> Iterator[int]:
        store, row = self._core.store, self._job.row
        while self._logs < (self._log_end or 0):
            lines = store.logs(row, self._logs, ROWS_AT_ONCE)
            if not lines:
                self._logs = self._log_end or 0
                return
            for line in lines:
                part.logs.append(line)
                self._logs = line.sequence
                yield ROW_BYTES + len(line.text)

    def _fill_messages(self, part: Part) -> Iterator[int]:
        read: dict[int, MessageRow] = {}
        while self._messages:
            number = next(iter(self._messages))
            del self._messages[number]
            message = self._job.messages.get(number)
            row = self._stored_row(number, read) if message is None else self._message_row(message)
            if row is None:
                part.messages_gone.append(number)
                yield 8
            else:
                part.messages.append(row)
                self._sent_messages = max(self._sent_messages, number)
                yield ROW_BYTES + len(row.data) + len(row.progress or b"")

    def _stored_row(self, number: int, read: dict[int, MessageRow]) -> MessageRow | None:
        """Give a message that is on disk alone; None where it ended.

        Args:
            number: its number.
            read: what was read already for the part that is being filled: several are read at once.
        """
        if not self._job.stored:
            return None
        if number not in read:
            read.clear()
            rows = self._core.store.messages_from(self._job.row, number, MESSAGES_AT_ONCE)
            read.update((row.message, row._replace(job=0)) for row in rows)
        return read.get(number)

    def _message_row(self, message: Message) -> MessageRow:
        due = message.due
        if due:
            due = max(TINY, due - self._begun.monotonic)
        return MessageRow(
            0, message.number, message.actor.routine, message.slot, message.data, message.attempts,
            message.retry_count, due, message.progress,
        )

    def _fill_values(self, part: Part) -> Iterator[int]:
        job = self._job
        while self._attributes:
            routine, name = next(iter(self._attributes))
            del self._attributes[(routine, name)]
            actor = job.actors.get(routine)
            value = None if actor is None else actor.attributes.get(name)
            if value is None:
                part.attributes_gone.append((routine, "", name))
            else:
                part.attributes.append(AttributeRow(0, routine, "", name, value))
            yield ROW_BYTES + len(value or b"")
        while self._shared:
            key = next(iter(self._shared))
            del self._shared[key]
            value = job.shared.get(key)
            if value is None:
                part.shared_gone.append(key)
            else:
                part.shared.append(SharedRow(0, key, value))
            yield ROW_BYTES + len(value or b"")
        while self._questions:
            name = next(iter(self._questions))
            del self._questions[name]
            question = job.questions.get(name)
            if question is None:
                part.questions_gone.append(name)
            else:
                part.questions.append(self._question_row(question))
            yield ROW_BYTES

    def _question_row(self, question: QuestionRow) -> QuestionRow:
        due = question.due
        if due is not None:
            passed = self._core.now.monotonic - self._begun.monotonic
            due = max(TINY, due - self._core.now.wall + passed)
        return question._replace(job=0, due=due)

    def _final(self) -> Final:
        job = self._job
        head = msgspec.structs.replace(
            job.head, next_message=job.next_message, next_sequence=job.next_sequence,
            cancelling=job.cancelling,
        )
        counts = {routine: RoutineCounts._make(count) for routine, count in job.counts.items()}
        return Final(head, counts, self._core.now.monotonic - self._begun.monotonic, self._logs)
