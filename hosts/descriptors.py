"""How many files and connections this process may have open, and what processes below it may.

ZeroMQ ends the whole process where a client connects over a unix socket and no descriptor is left for it: a
supervisor takes all that it may have. What it starts gets what it had itself: a program may use
``select``, which knows no descriptor above 1023.
"""

from __future__ import annotations

import resource

MOST = 65_536
"""Descriptors beyond which nothing is gained."""

ENOUGH = 4096
"""Descriptors with which a supervisor outlasts a flood of connections while it is busy with something."""


def take_descriptors() -> tuple[tuple[int, int], int]:
    """Raise this process's limit as far as it may.

    Returns:
        (soft, hard) as it was, to be given to others, and the limit as it is now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return (soft, hard), wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return (soft, hard), wanted


def give_descriptors(pid: int, limits: tuple[int, int]) -> None:
    """Give a process that this one started, and all that it will start, the limit that was found."""
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    except ProcessLookupError:
        return  # it ended already
