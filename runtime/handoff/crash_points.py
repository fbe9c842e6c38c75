"""Names of the moments of a hand-off at which a host can be made to die or to stand still: before and
after each durable write and each send of section 7's table. ``file`` is the one that a release goes into:
before it is written at all, and after it has got its name.

``SOJOURN_CRASH_POINT=NAME sojourn up …`` kills that supervisor with SIGKILL when it first gets there;
``SOJOURN_STOP_POINT=NAME`` stops it with SIGSTOP instead, until somebody sends it SIGCONT.
"""

from __future__ import annotations

VARIABLE = "SOJOURN_CRASH_POINT"
STOP_VARIABLE = "SOJOURN_STOP_POINT"

WRITES = {
    "source": ("precopy", "frozen", "file", "released", "gone", "aborted"),
    "target": ("staging", "prepared", "owned", "confirmed", "dropped"),
}
SENDS = {
    "source": ("preflight", "chunk", "offer", "commit", "abort", "measured"),
    "target": ("ready", "refused", "credit", "prepared", "query", "ack", "unknown", "started"),
}


def before_write(role: str, state: str) -> str:
    """Name the moment before a durable write."""
    return f"{role}.before-write-{state}"


def after_write(role: str, state: str) -> str:
    """Name the moment after it."""
    return f"{role}.after-write-{state}"


def before_send(role: str, message: str) -> str:
    """Name the moment before a send."""
    return f"{role}.before-send-{message}"


def after_send(role: str, message: str) -> str:
    """Name the moment after it."""
    return f"{role}.after-send-{message}"


ALL: tuple[str, ...] = tuple(
    name(role, what)
    for table, names in ((WRITES, (before_write, after_write)), (SENDS, (before_send, after_send)))
    for role, whats in table.items()
    for what in whats
    for name in names
)
