"""Where a job is that went away: commands go to its owner, though a host on the way there is down.

A job's old hosts know where they gave it, and are told where it went from there (see ``claims``). Where
that host can't be reached, every other one is asked. Decides nothing about jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sojourn.hosts.supervisor.claims import Contests
from sojourn.hosts.supervisor.core import Core
from sojourn.runtime.errors import NoSupervisor, NotFound
from sojourn.runtime.handoff.claims import reached
from sojourn.runtime.job import JobHead, Ownership
from sojourn.runtime.wire.claims import Claim


class Links(Protocol):
    """What is needed of the connections."""

    def connected(self, peer: str) -> bool: ...  # noqa: D102
    def names(self) -> set[str]: ...  # noqa: D102
    def require(self, name: str) -> object: ...  # noqa: D102


class Whereabouts:
    """Finds the hosts of jobs that are elsewhere.

    Args:
        core: shared state.
        contests: asks peers what they hold.
        links: connections to them.
    """

    def __init__(self, core: Core, contests: Contests, links: Links) -> None:
        self._core = core
        self._contests = contests
        self._links = links

    def known(self, head: JobHead) -> str | None:
        """Give the host that a job went to, if it can be reached."""
        host = head.moved_to
        return host if host is not None and self._links.connected(host) else None

    def find(self, head: JobHead, then: Callable[[str | None], None]) -> None:
        """Ask every host that can be reached.

        Args:
            head: the job, as it was when it left this host.
            then: called with the host that has it, or knows more of it than this one; None if none does.
        """
        self._contests.ask_all(
            head.job_id, self._links.names(), lambda claims, _silent: then(_best(head, claims))
        )

    def unreachable(self, head: JobHead) -> NoSupervisor | NotFound:
        """Say where a job is that can't be asked there now, or from here any more."""
        try:
            self._links.require(str(head.moved_to))
        except NotFound as gone:
            return NotFound(f"job {head.job_id} went to host {head.moved_to!r}: {gone.message}")
        return NoSupervisor(
            f"job {head.job_id} went from host {self._core.host!r} to host {head.moved_to!r}, and host "
            f"{head.moved_to!r} can't be reached from host {self._core.host!r} now: see that its "
            f"supervisor is up, or type `sojourn show {head.job_id}` there"
        )


def _best(head: JobHead, claims: list[tuple[str, Claim]]) -> str | None:
    """Choose whom to ask: the owner, else who gave it away latest."""
    better = [
        (claim.holding == Ownership.OWNED, reached(claim), peer) for peer, claim in claims
        if claim.instance == head.instance and reached(claim) > head.epoch
    ]
    return max(better)[2] if better else None
