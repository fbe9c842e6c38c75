"""What arrives of a job while it still runs elsewhere: rows under a row of their own, blobs in part files.

Nothing here runs, and nothing that was known of the job before is touched, until the job is owned.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from sojourn.hosts.store.blobs import is_whole
from sojourn.hosts.store.durable import sync_folder
from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.held import PARTIAL
from sojourn.runtime.errors import HandoffAborted, HostUnable
from sojourn.runtime.handoff.parts import Final, Part, remaining
from sojourn.runtime.handoff.stream import Piece
from sojourn.runtime.job import JobImage, StoredMessages, Writes

SYNC_BYTES = 4 * 1024 * 1024
"""Bytes of a blob after which it is written through, so that the end of a large one isn't one long wait."""

HASH_BYTES = 1024 * 1024


class Staging:
    """The rows and blobs of one job that arrives.

    Args:
        core: shared state.
        row: row under which its rows are kept; no job ever had it.
    """

    def __init__(self, core: Core, row: int) -> None:
        self._core = core
        self.row = row
        self._origins: dict[int, int] = {}
        self._blobs: set[str] = set()
        self._partial: PartialBlob | None = None
        self._whole: list[PartialBlob] = []
        """Blobs that came whole with the round under way, and aren't durable yet."""
        self._told: dict[str, int] = {}
        self._passed = ""
        """Blob of which what comes isn't needed."""

    def told(self, held: list[tuple[str, int]]) -> None:
        """The source is told how much is here of the blobs that the job refers to: that isn't sent.

        Args:
            held: (digest, bytes that are here).
        """
        self._told = dict(held)

    def put(self, part: Part) -> None:
        """Write a part's rows with the round under way."""
        writes, row = self._core.round.writes, self.row
        origins = self._core.engine.book.origins
        for number, origin in part.origins.items():
            self._origins[number] = origins.intern(origin, writes.origins_put)
        gone = set(part.messages_gone)
        if gone:
            # A row of this round that is gone again must not be put after its deletion.
            writes.messages_put = [
                put for put in writes.messages_put if put.job != row or put.message not in gone
            ]
            writes.messages_deleted.extend((row, number) for number in part.messages_gone)
        writes.messages_put.extend(message._replace(job=row) for message in part.messages)
        writes.history.extend(
            entry._replace(job=row, origin=self._origins[entry.origin]) for entry in part.history
        )
        self._put_values(writes, part)
        writes.logs.extend(line._replace(job=row) for line in part.logs)
        for blob in part.blobs:
            self._blobs.add(blob.digest)
            writes.blobs_put.append(blob._replace(job=row))

    def _put_values(self, writes: Writes, part: Part) -> None:
        row = self.row
        for entry in part.attributes:
            writes.attributes[(row, entry.routine, entry.key, entry.name)] = entry.value
        for routine, key, name in part.attributes_gone:
            writes.attributes[(row, routine, key, name)] = None
        for shared in part.shared:
            writes.shared[(row, shared.key)] = shared.value
        for key in part.shared_gone:
            writes.shared[(row, key)] = None
        gone = set(part.questions_gone)
        if gone:
            writes.questions_put = [
                put for put in writes.questions_put if put.job != row or put.question not in gone
            ]
            writes.questions_deleted.extend((row, question) for question in part.questions_gone)
        writes.questions_put.extend(question._replace(job=row) for question in part.questions)

    def keep(self, piece: Piece) -> None:
        """Add to a blob's file.

        Raises:
            HostUnable: if it can't be written.
            HandoffAborted: if the whole blob doesn't match its digest.
        """
        assert piece.blob is not None
        folder = self._core.home.blobs
        if piece.blob == self._passed:
            return
        if self._partial is None or self._partial.digest != piece.blob:
            self._close_partial()
            if is_whole(folder / piece.blob, piece.blob):
                self._passed = piece.blob  # another hand-off brought it meanwhile
                return
            self._partial = PartialBlob(folder, piece.blob, self._told.get(piece.blob, 0), self.row)
        self._partial.add(piece.data)
        if piece.last:
            whole, self._partial = self._partial, None
            whole.check()
            self._whole.append(whole)

    @property
    def has_whole(self) -> bool:
        """Whether ``make_durable`` has something to do."""
        return bool(self._whole)

    def make_durable(self) -> None:
        """Give the blobs that came whole their names, for good: one sync of the folder does for all.

        Raises:
            HostUnable: if that can't be.
        """
        if not self._whole:
            return
        for blob in self._whole:
            blob.finish()
        try:
            sync_folder(self._core.home.blobs)
        except OSError as error:
            raise self._whole[-1].unwritable(error) from error
        self._whole.clear()

    def require_blobs(self) -> None:
        """See that every blob is here, for good.

        Raises:
            HandoffAborted: naming one that isn't.
            HostUnable: if they can't be made durable.
        """
        self.make_durable()
        for digest in sorted(self._blobs):
            if not (self._core.home.blobs / digest).exists():
                raise HandoffAborted(f"blob {digest} of the job didn't arrive")

    def discard(self) -> None:
        """Delete the rows; what came of blobs is left for another try, and swept when it is old."""
        self._close_partial()
        for blob in self._whole:
            blob.close()
        self._whole.clear()
        self._core.round.writes.drop_rows(self.row)

    def give_room_back(self) -> None:
        """There is no room for the job: what came of the blob that isn't whole goes at once."""
        for blob in (*self._whole, *(() if self._partial is None else (self._partial,))):
            blob.delete()
        self._whole.clear()
        self._partial = None

    def _close_partial(self) -> None:
        if self._partial is not None:
            self._partial.close()
            self._partial = None

    def image(self, final: Final, flow: bytes) -> tuple[JobImage, list[StoredMessages]]:
        """Read what an engine needs of the job, from the rows that are on disk; dues from now.

        Returns:
            The job, and what is left in the store of its messages.
        """
        rows = self._core.store.staged_rows(self.row, self._core.engine.book.mailboxes.bounds.mailbox)
        image = JobImage(
            flow=flow,
            head=final.head,
            messages=[
                message._replace(due=remaining(message.due, final.elapsed)) if message.due else message
                for message in rows.messages
            ],
            history=[],
            attributes=rows.attributes,
            shared=rows.shared,
            questions=[
                question if question.due is None
                else question._replace(due=remaining(question.due, final.elapsed))
                for question in rows.questions
            ],
            logs=[],
            blobs=[],
            origins={},
            counts=final.counts,
        )
        return image, rows.stored


class PartialBlob:
    """A blob that arrives piece by piece.

    Args:
        folder: of the blobs.
        digest: its name and sha256 (hex).
        offset: bytes that an earlier transfer left and that aren't sent again.
        own: tells its file from that of another hand-off which brings the same blob just now.

    Raises:
        HostUnable: if its file can't be opened.
    """

    def __init__(self, folder: Path, digest: str, offset: int, own: int) -> None:
        self.digest = digest
        self._own = own
        self._folder = folder
        self._path = folder / f"{PARTIAL}{digest}"
        self._unsynced = 0
        self._sha = hashlib.sha256()
        try:
            self._file = self._open()
            self._file.truncate(min(offset, self._file.seek(0, os.SEEK_END)))
            self._file.seek(0)
            while piece := self._file.read(HASH_BYTES):
                self._sha.update(piece)
        except OSError as error:
            raise self.unwritable(error) from error

    def _open(self) -> BinaryIO:
        """Open the file that an interrupted transfer left; one of this hand-off's own if that is in use."""
        file = self._path.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            self._path = self._path.with_name(f"{self._path.name}-{self._own}")
            return self._path.open("w+b")
        return file

    def add(self, data: bytes) -> None:
        """Append a piece.

        Raises:
            HostUnable: if it can't be written.
        """
        try:
            self._file.write(data)
            self._sha.update(data)
            self._unsynced += len(data)
            if self._unsynced >= SYNC_BYTES:
                self._sync()
        except OSError as error:
            raise self.unwritable(error) from error

    def check(self) -> None:
        """See that the whole blob is what its name says, and have the disk begin to write it.

        Raises:
            HandoffAborted: if it doesn't match its digest; then nothing of it is left.
            HostUnable: if it can't be written.
        """
        if self._sha.hexdigest() != self.digest:
            self.delete()
            raise HandoffAborted(
                f"blob {self.digest} arrived damaged: its digest doesn't match; move the job again"
            )
        try:
            self._file.flush()
            # What is dirty is written without waiting for it, so that ``finish`` finds it nearly done.
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            raise self.unwritable(error) from error

    def finish(self) -> None:
        """Make the whole blob durable and give it its name, durable once its folder is synced.

        Raises:
            HostUnable: if it can't be written.
        """
        try:
            self._sync()
            self._file.close()
            self._path.replace(self._folder / self.digest)
        except OSError as error:
            raise self.unwritable(error) from error

    def _sync(self) -> None:
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self._unsynced = 0

    def close(self) -> None:
        """Let go of the file; what is in it stays."""
        try:
            self._file.close()
        except OSError:
            pass  # what couldn't be written is sent again by the next try

    def delete(self) -> None:
        """Delete the file."""
        self.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def unwritable(self, error: OSError) -> HostUnable:
        """Say that it can't be kept."""
        return HostUnable(
            f"blob {self.digest} can't be written into {self._folder} ({error.strerror}): make room there"
        )
