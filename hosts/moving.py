"""The client's verbs that move jobs, several jobs, or everything that a host has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from sojourn.runtime.moved import Handoff, Outcome, failure_of, read_handoff
from sojourn.runtime.wire import client as wire
from sojourn.runtime.wire.whole_hosts import Cordon, Drain, MigrateMany

JobName = str
"""A job's id or a unique prefix of it."""


class Moving(ABC):
    """What a client can do about where jobs are."""

    @abstractmethod
    def _ask(self, command: wire.Command) -> dict[str, Any]:
        """Ask the supervisor."""

    def migrate(
        self,
        jobs: JobName | Sequence[JobName],
        to: str,
        *,
        grace: float | None = None,
        allow_code_drift: bool = False,
        max_downtime_ms: float | None = None,
    ) -> list[Handoff]:
        """Move jobs to a paired host, side by side; one that doesn't move stops no other.

        Args:
            jobs: one job or several.
            to: the host.
            grace: seconds that turns in flight get; None for their routine's own.
            allow_code_drift: whether different code over there is accepted.
            max_downtime_ms: milliseconds that a job may be frozen for: it is copied until that holds, or
                stays where it is.

        Returns:
            The moves, in the order of the jobs.

        Raises:
            HandoffAborted: if one didn't move; it goes on where it is. Of several, ``handoffs`` are those
                that did move, and ``errors`` tells why each other didn't.
            HandoffInDoubt: if one passed its commit point and the new owner hasn't answered; likewise.
        """
        return self._move(jobs, to, grace, allow_code_drift, max_downtime_ms)

    def migrate_back(
        self,
        jobs: JobName | Sequence[JobName],
        *,
        grace: float | None = None,
        allow_code_drift: bool = False,
        max_downtime_ms: float | None = None,
    ) -> list[Handoff]:
        """Move jobs back to the host that each came from; otherwise as ``migrate``.

        Raises:
            Refused: if one, asked for alone, never came from another host.
        """
        return self._move(jobs, None, grace, allow_code_drift, max_downtime_ms)

    def migrate_all(
        self, to: str, *, grace: float | None = None, allow_code_drift: bool = False,
        max_downtime_ms: float | None = None,
    ) -> list[Handoff]:
        """Move every unfinished job that the host owns now; otherwise as ``migrate``."""
        return _handoffs_of(
            self._ask(MigrateMany(None, to, grace, allow_code_drift, max_downtime_ms))
        )

    def _move(
        self, jobs: JobName | Sequence[JobName], to: str | None, grace: float | None, drift: bool,
        max_downtime_ms: float | None,
    ) -> list[Handoff]:
        names = [jobs] if isinstance(jobs, str) else list(jobs)
        if len(names) == 1:
            return [read_handoff(self._ask(wire.Migrate(names[0], to, grace, drift, max_downtime_ms)))]
        if not names:
            return []
        return _handoffs_of(self._ask(MigrateMany(names, to, grace, drift, max_downtime_ms)))

    def cordon(self) -> None:
        """Let the host take no new jobs: none submitted, imported or handed over. Those it has go on."""
        self._ask(Cordon())

    def uncordon(self) -> None:
        """Let the host take jobs again; a drain that is under way begins no more moves."""
        self._ask(Cordon(on=False))

    def drain(
        self, to: str | None = None, *, deadline: float | None = None, grace: float | None = None
    ) -> list[Handoff]:
        """Cordon the host and move every job away. It goes on if this client goes away.

        Args:
            to: where they go; None to spread them over the paired hosts that take them.
            deadline: seconds; None to wait until every released job is acknowledged.
            grace: seconds that turns in flight get; None for their routine's own.

        Raises:
            HandoffAborted: if jobs stay, see ``errors``; ``handoffs`` are those that moved.
            HandoffInDoubt: if the deadline passed while released jobs were unacknowledged; likewise.
        """
        return _handoffs_of(self._ask(Drain(to, deadline, grace)))


def _handoffs_of(body: Mapping[str, Any]) -> list[Handoff]:
    """Read the answer about several jobs.

    Raises:
        HandoffFailed: if some didn't move.
    """
    failure = failure_of(body["jobs"])
    if failure is not None:
        raise failure
    return [read_handoff(entry) for entry in body["jobs"] if entry["outcome"] == Outcome.MOVED]
