"""How much peers may have open towards a host at once, so that none of them fills its memory or its disk.

An honest peer comes nowhere near: it has a bounded number of hand-offs under way, sends parts of some
hundred KiB, and ends what it began. Bounds what was asked for and what came; decides nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from sojourn.runtime.handoff.table import TargetState
from sojourn.runtime.handoff.target import LEAST_FREE, TargetHandoff

MOST_OPEN = 256
"""Hand-offs of one peer towards this host that are neither owned nor dropped."""

MOST_HELD = 512 * 1024 * 1024
"""Bytes that hand-offs of one peer hold in memory: their questions, and parts that aren't whole yet."""

MOST_SPARE = 512
"""Actor processes that run for no job of this host: they were started for jobs that were to arrive."""

_OPEN = (TargetState.UNKNOWN, TargetState.STAGING, TargetState.PREPARED)


def against_another(peer: str, host: str, machines: Iterable[TargetHandoff]) -> str | None:
    """Say why a peer may begin no further hand-off towards this host; None if nothing speaks against it.

    Args:
        peer: who wants to.
        host: this one.
        machines: all hand-offs towards it.
    """
    its = [machine for machine in machines if machine.peer == peer and machine.state in _OPEN]
    if len(its) >= MOST_OPEN:
        return (
            f"{len(its)} hand-offs of host {peer!r} are open at host {host!r} already, and no more than "
            f"{MOST_OPEN} may be: `sojourn handoff list` there shows them"
        )
    if sum(machine.held_bytes for machine in its) > MOST_HELD:
        return (
            f"what hand-offs of host {peer!r} have sent takes more than {MOST_HELD} bytes of the memory of "
            f"host {host!r} already: move the job when some of them have ended"
        )
    return None


def against_more(
    machine: TargetHandoff, machines: Iterable[TargetHandoff], host: str, free_bytes: int
) -> str | None:
    """Say why no more is taken in of a hand-off; None if nothing speaks against it.

    Args:
        machine: the hand-off.
        machines: all hand-offs towards this host.
        host: this one.
        free_bytes: room on the disk of its home.
    """
    held = sum(other.held_bytes for other in machines if other.peer == machine.peer)
    if held > MOST_HELD:
        return f"hand-offs of host {machine.peer!r} hold {held} bytes of host {host!r}'s memory"
    if free_bytes < LEAST_FREE:
        return (
            f"the disk of host {host!r} has no room for more: it is full but for {free_bytes} bytes, and "
            f"{LEAST_FREE} are left to its own jobs; make room there"
        )
    return None
