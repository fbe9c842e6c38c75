"""Writing the progress page (see ``sojourn.runtime.progress_page`` for its layout)."""

from __future__ import annotations

import mmap
import os
import time

from sojourn.runtime.progress_page import (
    BEGUN_WORD,
    COUNT_OFFSET,
    FINISHED_WORD,
    HEADER_REST,
    LOW_BITS,
    PAGE_BYTES,
    RING,
    RING_ENTRY,
    RING_OFFSET,
)
from sojourn.runtime.wire.actor import Turn

_ENTRY_BYTES = RING_ENTRY.size
_pack_entry = RING_ENTRY.pack_into
_pack_rest = HEADER_REST.pack_into


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
        self._words = memoryview(self._map).cast("q")
        self._count = 0

    def begin(self, turn: Turn, epoch: int) -> float:
        """Note that an attempt begins; ``begun`` is written last.

        Returns:
            Wall clock at its begin, in seconds.
        """
        page = self._map
        dispatch = turn.dispatch
        job = turn.job
        count = self._count
        what = turn.message << LOW_BITS | turn.attempt
        place = RING_OFFSET + _ENTRY_BYTES * (count % RING)
        _pack_entry(page, place, dispatch, job << LOW_BITS | epoch, what)
        self._count = count = count + 1
        started = time.time()
        _pack_rest(page, COUNT_OFFSET, count, job, epoch, what, started, time.monotonic())
        self._words[BEGUN_WORD] = dispatch
        return started

    def finish(self, dispatch: int) -> None:
        """Note that it ended."""
        self._words[FINISHED_WORD] = dispatch
