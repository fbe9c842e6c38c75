"""What is done now and then: jobs past their retention are forgotten, blobs that no job needs swept."""

from __future__ import annotations

from collections.abc import Callable

from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.refilling import blobs_of
from sojourn.runtime.errors import JobUnreadable

EVERY = 60.0
"""Seconds between two looks."""

BLOB_AGE = 3600.0
"""Seconds that a blob is kept though nothing refers to it: its commit may be under way."""


class Upkeep:
    """Retention and sweeping.

    Args:
        core: shared state.
        moving: whether a job is being handed over, so that its blobs are left alone.
    """

    def __init__(self, core: Core, moving: Callable[[int], bool]) -> None:
        self._core = core
        self._moving = moving
        self._next = 0.0

    def look(self) -> None:
        """Look after things, if it is time."""
        core = self._core
        if core.now.monotonic < self._next:
            return
        self._next = core.now.monotonic + EVERY
        options = core.options
        rows = core.store.expired(core.now.wall - options.retain_seconds, options.retain_jobs)
        for row in rows:
            try:
                head = core.store.head(row)
            except JobUnreadable:
                continue  # it is listed with what is wrong, and kept for a better copy
            if head is not None and core.engine.job(row) is None and row not in core.moving:
                core.forget_rows(row, head)
        kept = core.store.blob_references()
        self._let_go(kept)
        self._sweep({digest for digests in kept.values() for digest in digests})

    def _let_go(self, kept: dict[int, set[str]]) -> None:
        """Give up what a job's values refer to no more; its file goes with the next look."""
        core = self._core
        for row, digests in kept.items():
            job = core.engine.job(row)
            if job is not None and not self._moving(row):
                core.round.writes.blobs_deleted.extend(
                    (row, digest) for digest in digests - blobs_of(core, job).keys()
                )

    def _sweep(self, known: set[str]) -> None:
        core = self._core
        try:
            found = list(core.home.blobs.iterdir())
        except OSError as error:
            core.log.error("blobs can't be listed", folder=str(core.home.blobs), error=str(error))
            return
        for path in found:
            try:
                age = core.now.wall - path.stat().st_mtime
            except FileNotFoundError:
                continue  # it was being written, and has its own name now
            if age < BLOB_AGE:
                continue
            if path.name not in known:
                path.unlink(missing_ok=True)
