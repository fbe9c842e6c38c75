"""What came of moves: one entry per job, with where it is now, as it travels to a client and is printed.

Says what an entry holds, and what several of them come to. Moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from sojourn.runtime.errors import (
    HandoffAborted,
    HandoffFailed,
    HandoffInDoubt,
    SojournError,
    from_wire,
)

# Any: entries are JSON, what is in them is this page's.
Json = dict[str, Any]

NAMED = 3
"""Jobs that the sentence about several names."""


class Outcome(StrEnum):
    """What came of a job that was to move."""

    MOVED = "moved"
    STAYS = "stays"
    IN_DOUBT = "in doubt"
    """Released, and its new owner hasn't acknowledged it."""
    ENDED = "ended"
    """It completed, failed or was cancelled before it could move."""


class Handoff(msgspec.Struct, frozen=True):
    """One move of a job.

    Attributes:
        job_id: the job.
        source: host that gave it.
        target: host that took it.
        epoch: epoch under which the target owns it.
        bytes: size of what travelled.
        phases_ms: milliseconds per phase; None where they are unknown.
        downtime_ms: milliseconds without a runner, by the source's clock; None where unknown.
    """

    job_id: str
    source: str
    target: str
    epoch: int
    bytes: int
    phases_ms: dict[str, float] | None
    downtime_ms: float | None


def read_handoff(body: Mapping[str, Any]) -> Handoff:
    """Read the answer to a migrate, or the entry of a job that moved."""
    return Handoff(
        body["job_id"], body["from"], body["to"], body["epoch"], body["bytes"],
        body.get("phases_ms"), body.get("downtime_ms"),
    )


def moved_entry(body: Mapping[str, Any]) -> Json:
    """Describe a job that moved.

    Args:
        body: the answer to its migrate.
    """
    return {
        "job_id": body["job_id"], "outcome": Outcome.MOVED.value, "host": body.get("host", body["to"]),
        "from": body["from"], "to": body["to"], "epoch": body["epoch"], "bytes": body["bytes"],
        "phases_ms": body.get("phases_ms"), "downtime_ms": body.get("downtime_ms"), "error": None,
        "reason": None,
    }


def other_entry(
    job_id: str, outcome: Outcome, *, host: str | None, source: str, target: str | None = None,
    error: str | None = None, reason: str | None = None,
) -> Json:
    """Describe a job that isn't known to have moved.

    Args:
        job_id: it.
        outcome: what came of it.
        host: where it is now; None where nobody can say.
        source: host that was to give it away.
        target: host that it was to go to, or is on its way to.
        error: class name of the error that kept it.
        reason: sentence for people.
    """
    return {
        "job_id": job_id, "outcome": outcome.value, "host": host, "from": source, "to": target,
        "epoch": None, "bytes": None, "phases_ms": None, "downtime_ms": None, "error": error,
        "reason": reason,
    }


def exit_code(entries: Iterable[Mapping[str, Any]]) -> int:
    """Give what a command ends with: 8 where a job is in doubt, else 7 where one stays, else 0."""
    outcomes = {entry["outcome"] for entry in entries}
    if Outcome.IN_DOUBT in outcomes:
        return HandoffInDoubt.exit_code
    return HandoffAborted.exit_code if Outcome.STAYS in outcomes else 0


def failure_of(entries: Iterable[Mapping[str, Any]]) -> HandoffFailed | None:
    """Give the error that several moves come to, with those that were done; None where nothing failed."""
    known = list(entries)
    handoffs = [read_handoff(entry) for entry in known if entry["outcome"] == Outcome.MOVED]
    errors = {
        str(entry["job_id"]): _error_of(entry)
        for entry in known
        if entry["outcome"] in (Outcome.STAYS, Outcome.IN_DOUBT)
    }
    code = exit_code(known)
    if not code:
        return None
    kind = HandoffInDoubt if code == HandoffInDoubt.exit_code else HandoffAborted
    some = "; ".join(error.message for error in list(errors.values())[:NAMED])
    more = f"; and {len(errors) - NAMED} more" if len(errors) > NAMED else ""
    return kind(
        f"{len(errors)} of {len(known)} jobs did not move: {some}{more}", handoffs=handoffs, errors=errors
    )


def _error_of(entry: Mapping[str, Any]) -> SojournError:
    return from_wire(entry["error"] or HandoffAborted.__name__, entry["reason"] or "it did not move")
