"""Moves on a network of the tests: held in a phase while a link is cut, watched from outside."""

from __future__ import annotations

import subprocess
import time

from sojourn.runtime.errors import HandoffAborted, HandoffInDoubt
from tests.integration.hosting import Host
from tests.integration.judging import wait_for_owner
from tests.network.link_model import Conditions
from tests.waiting import wait_until

PATIENCE = 60.0
"""Seconds that something may take over a link that was bad."""

SLOW = Conditions(delay=1.2)
"""So slow that each phase of a hand-off lasts long enough to be met by a fault, and no heartbeat fails."""


def move(host: Host, job: str, to: Host, hosts: list[Host]) -> None:
    """Move a job as a person would: again where the link was down, until it is there."""

    def once() -> bool:
        try:
            host.migrate(job, to)
        except HandoffAborted:
            return False  # safe at its source: the link was down for a moment
        except HandoffInDoubt:
            return wait_for_owner(hosts, job, PATIENCE) is to
        return True

    wait_until(once, PATIENCE, f"job {job} to move to host {to.name}")


def finish(owner: Host, job: str = "job") -> None:
    """Let a gated job end."""
    with owner.client() as client:
        client.resume(job, end=True)


def said(host: Host, event: str, *, after: int = 0, **fields: str) -> bool:
    """Tell whether a host's log has an entry, after as many entries as given."""
    return any(
        entry["event"] == event and fields.items() <= entry.items() for entry in host.log()[after:]
    )


def until_moving(host: Host, job: str = "job") -> None:
    """Wait until a job is frozen for its move."""
    wait_until(lambda: host.show(job)["status"] == "moving", PATIENCE, f"job {job} to be frozen")


def until_said(host: Host, event: str, **fields: str) -> None:
    """Wait until a host's log has an entry."""
    wait_until(lambda: said(host, event, after=0, **fields), PATIENCE, f"host {host.name} to say {event!r}")


def noticed(host: Host, peer: Host, after: int) -> None:
    """Wait until a host has noticed by its own timers that a peer is gone."""
    wait_until(
        lambda: said(host, "peer disconnected", after=after, peer=peer.name), PATIENCE,
        f"host {host.name} to notice that host {peer.name} can't be reached",
    )


def hold(since: float, seconds: float) -> None:
    """Wait until something has lasted as long as it shall."""
    wait_until(lambda: time.monotonic() - since >= seconds, seconds + 10.0, "the partition to end")


def exit_code(mover: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a command's end; give its exit code and what it complained of."""
    _, complaint = mover.communicate(timeout=PATIENCE)
    return mover.returncode, complaint
