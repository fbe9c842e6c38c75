"""What an earlier run of this supervisor left in flight, read from its progress pages (G4)."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sojourn.hosts.pages import leftover_pages
from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.refilling import fetch
from sojourn.runtime.engine.inputs import Input, Recover
from sojourn.runtime.errors import JobUnreadable
from sojourn.runtime.job import JobStatus, Ownership
from sojourn.runtime.progress_page import Begun


class Leftovers:
    """The attempts that began and whose outcome never reached the disk.

    Args:
        core: shared state.

    Attributes:
        rows: of their jobs.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._pages: list[Path] = []
        self._started: dict[Begun, float] = {}
        for path, running in leftover_pages(core.home.pages):
            self._pages.append(path)
            for entry in running.recent if running is not None else ():
                last = running is not None and entry.dispatch == running.begun
                at = running.wall_start if running and last else core.now.wall
                # Without its dispatch: a turn that yielded and ran again was left in flight once.
                what = msgspec.structs.replace(entry, dispatch=0)
                self._started[what] = min(at, self._started.get(what, at))
        self.rows = frozenset(entry.job for entry in self._started)

    def record(self) -> None:
        """Record them as interrupted; their jobs are in memory, unless they ended."""
        core = self._core
        inputs: list[Input] = []
        partly: set[int] = set()
        """Rows of jobs of which messages are on disk alone."""
        for row in sorted(self.rows):
            job = core.engine.job(row)
            if job is not None and job.stored:
                partly.add(row)
            try:
                if _failed_meanwhile(core, row):
                    adoption = core.adoption(row)
                    inputs.append(adoption)
                    if adoption.stored:
                        partly.add(row)
            except JobUnreadable as error:
                core.log.error("job unreadable", reason=error.message)
        for entry in self._started:
            if entry.job in partly:
                inputs.extend(fetch(core, entry.job, entry.message))
        inputs.extend(
            Recover(entry.job, entry.epoch, entry.message, entry.attempt, at, "")
            for entry, at in self._started.items()
        )
        core.apply_all(inputs)  # in one step: at its end, jobs that failed leave memory again

    def forget(self) -> None:
        """Delete the pages: what they told is on disk."""
        for path in self._pages:
            path.unlink(missing_ok=True)


def _failed_meanwhile(core: Core, row: int) -> bool:
    """Whether a job failed while other turns of it were in flight: then it isn't in memory."""
    if core.engine.job(row) is not None:
        return False
    head = core.store.head(row)
    return (
        head is not None and head.status is JobStatus.FAILED and head.ownership is Ownership.OWNED
    )
