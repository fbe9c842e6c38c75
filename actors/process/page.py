"""Writing the progress page (see ``sojourn.runtime.progress_page`` for its layout)."""

from __future__ import annotations

import mmap
import os
import time

from sojourn.runtime.progress_page import (
    BEGUN_OFFSET,
    FINISHED_OFFSET,
    HEADER,
    PAGE_BYTES,
    RING,
    RING_ENTRY,
    RING_OFFSET,
    WORD,
    pack_pair,
)
from sojourn.runtime.wire.actor import Turn


class PageWriter:
    """The page of this process.

    Args:
        path: a file of ``PAGE_BYTES`` bytes.
    """

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(descriptor, PAGE_BYTES)
        finally:
            os.close(descriptor)
        self._count = 0
        self._finished = 0
        self._begun = 0

    def begin(self, turn: Turn, epoch: int) -> None:
        """Note that an attempt begins; ``begun`` is written last."""
        place = pack_pair(turn.job, epoch)
        what = pack_pair(turn.message, turn.attempt)
        entry = RING_OFFSET + RING_ENTRY.size * (self._count % RING)
        RING_ENTRY.pack_into(self._map, entry, turn.dispatch, place, what)
        self._count += 1
        HEADER.pack_into(
            self._map, 0, self._begun, self._finished, self._count, turn.job, epoch, what,
            time.time(), time.monotonic(),
        )
        WORD.pack_into(self._map, BEGUN_OFFSET, turn.dispatch)
        self._begun = turn.dispatch

    def finish(self, dispatch: int) -> None:
        """Note that it ended."""
        self._finished = dispatch
        WORD.pack_into(self._map, FINISHED_OFFSET, dispatch)
