"""What a paired host is let do here, by its role: commands that it relays, hand-offs, and its word on jobs.

The rules are a table (``runtime.roles``); whose job a command is about is looked up here. Refuses with a
sentence that names the role that is needed and the command that grants it. Sends and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from sojourn.hosts.supervisor.core import Asker, Core
from sojourn.runtime.errors import AccessDenied
from sojourn.runtime.job import JobHead
from sojourn.runtime.roles import COMMANDS, HERE_ONLY, Role, may, may_claim, may_hand_over
from sojourn.runtime.wire.claims import Claim
from sojourn.runtime.wire.client import (
    Cancel,
    Command,
    DryRun,
    Export,
    Forget,
    Migrate,
    Pause,
    Request,
    Resume,
    Retry,
    Submit,
)
from sojourn.runtime.wire.whole_hosts import MigrateMany

OF_A_JOB = (Pause, Resume, Cancel, Retry, Forget, Migrate, DryRun, Export)
"""Commands that act on one job."""


class Permits:
    """Asks for the role of a host and judges by it.

    Args:
        core: knows jobs.
        role_of: gives a host's role; None for one that isn't paired (any more).
    """

    def __init__(self, core: Core, role_of: Callable[[str], Role | None]) -> None:
        self._core = core
        self._role_of = role_of
        self.refused: dict[str, int] = {}
        """Host → how many well-formed requests of it were refused for its role."""

    def check(self, asker: Asker, request: Request) -> None:
        """Check that a host may relay a command; who asks on this host may everything.

        Args:
            asker: who relays it.
            request: the command, and the host that shall do it.

        Raises:
            AccessDenied: if it may not.
            NotFound: if what it may depends on a job that isn't known here.
            AmbiguousName: if that depends on a prefix that names several.
        """
        if not asker.from_peer:
            return
        try:
            self._check(asker.peer, request)
        except AccessDenied:
            self._count(asker.peer)
            raise

    def _check(self, peer: str, request: Request) -> None:
        host, role = self._core.host, self._role_of(peer)
        command = request.command
        if role is None:
            raise AccessDenied(f"host {host!r} isn't paired with host {peer!r} any more")
        if request.host not in (None, host):
            raise AccessDenied(
                f"host {host!r} passes no commands of host {peer!r} on to host {request.host!r}: pair "
                f"those two with `sojourn invite` and `sojourn join`"
            )
        name = type(command).__name__
        if isinstance(command, Export) and command.release_to is not None:
            raise AccessDenied(
                f"`sojourn export --release` writes a file on the host that owns the job, which no role "
                f"allows to another one: run it on host {host!r}"
            )
        if may(role, name, own=False):
            return
        right = COMMANDS.get(name, HERE_ONLY)
        if right.any_job is None:
            raise AccessDenied(
                f"who is paired with host {host!r}, and as what, is changed there only: no role allows "
                f"{spoken(command)} to another host; run it on host {host!r}"
            )
        if right.own_job is None or not role.includes(right.own_job):
            raise self._lacks(peer, role, spoken(command), right.own_job or right.any_job)
        if not self._own(peer, command):
            raise self._lacks(
                peer, role, f"{spoken(command)} of a job that was never on host {peer!r}", right.any_job
            )

    def _own(self, peer: str, command: Command) -> bool:
        """Whether a command is about jobs that a host has itself had, and about no others."""
        if isinstance(command, Submit):
            known = [None if name is None else self._core.head(name) for name in command.job_ids]
            return bool(known) and all(
                found is not None and went_between(found[1], peer) for found in known
            )
        if isinstance(command, MigrateMany):
            names = command.jobs or []
            return bool(names) and all(went_between(self._core.find(name)[1], peer) for name in names)
        return isinstance(command, OF_A_JOB) and went_between(self._core.find(command.job)[1], peer)

    def _lacks(self, peer: str, role: Role, what: str, needed: Role) -> AccessDenied:
        host = self._core.host
        return AccessDenied(
            f"host {host!r} knows host {peer!r} as {role.value}, and {what} takes the role {needed.value}: "
            f"`sojourn peers role {peer} {needed.value}` on host {host!r} grants it"
        )

    def _count(self, peer: str) -> None:
        self.refused[peer] = self.refused.get(peer, 0) + 1

    # --- hand-offs ----------------------------------------------------------------------------------

    def against_taking(self, peer: str) -> AccessDenied | None:
        """Say why no job is taken from a host; None where it may hand one over."""
        role = self._role_of(peer)
        if role is not None and may_hand_over(role):
            return None
        self._count(peer)
        if role is None:
            return AccessDenied(f"host {self._core.host!r} isn't paired with host {peer!r} any more")
        return self._lacks(peer, role, "a hand-off", Role.PEER)

    def check_giving(self, peer: str, job_id: str) -> None:
        """Check that a job may be given to a host.

        Raises:
            AccessDenied: if it only looks.
        """
        role = self._role_of(peer)
        if role is not None and not may_hand_over(role):
            denied = self._lacks(peer, role, "a hand-off", Role.PEER)
            raise AccessDenied(
                f"job {job_id} stays on host {self._core.host!r} and goes on there: {denied.message}"
            )

    def believes(self, peer: str, claim: Claim) -> bool:
        """Tell whether a job may be given up, or stopped, since a host says that it holds it."""
        role = self._role_of(peer)
        known = self._core.head(claim.job_id)
        if role is not None and may_claim(
            role, between=known is None or went_between(known[1], peer),
            restored=self._core.store.restored,
        ):
            return True
        self._count(peer)
        return False


def went_between(head: JobHead, peer: str) -> bool:
    """Tell whether a host has had a job, or was given it."""
    return head.moved_to == peer or any(peer in (entry.source, entry.target) for entry in head.handoffs)


_SPOKEN = {
    "SetRole": "peers role", "Revoke": "peers revoke", "Resolve": "handoff resolve",
    "MigrateMany": "migrate", "DryRun": "migrate --dry-run",
}


def spoken(command: Command) -> str:
    """Name a command as a person would type it."""
    name = type(command).__name__
    return f"`sojourn {_SPOKEN.get(name, name.lower())}`"
