"""What is done now and then: jobs past their retention are forgotten, blobs that nobody refers to swept."""

from __future__ import annotations

from sojourn.hosts.supervisor.core import Core

EVERY = 60.0
"""Seconds between two looks."""

BLOB_AGE = 3600.0
"""Seconds that a blob is kept though nothing refers to it: its commit may be under way."""


class Upkeep:
    """Retention and sweeping.

    Args:
        core: shared state.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
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
            head = core.store.head(row)
            if head is not None and core.engine.job(row) is None and row not in core.moving:
                core.forget_rows(row, head)
        self._sweep()

    def _sweep(self) -> None:
        core = self._core
        known: set[str] | None = None
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
            if known is None:
                known = core.store.blob_digests()
            if path.name not in known:
                path.unlink(missing_ok=True)
