"""The document that ``migrate --dry-run`` prints: what a move would meet and cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from sojourn.runtime.document_format import rfc3339
from sojourn.runtime.handoff.survey import (
    Reason,
    Timing,
    differing,
    differing_by_routine,
    routine_fingerprint,
)
from sojourn.runtime.wire.survey import COPY_FORMAT, Code, Surveyed

ASSUMED_RATE = 100e6
"""Bytes per second that a link is taken to carry before anything was sent over it."""

COMMITS_HERE, COMMITS_THERE, ROUND_TRIPS = 2, 3, 2
"""What a job waits for while it is frozen: commits on both disks, and messages to and fro."""

HOW = (
    f"{ROUND_TRIPS} round trips + {COMMITS_HERE} commits here + {COMMITS_THERE} over there, as measured "
    "now, + what the job changes during one of each, by its changes of the last moment, at "
    f"{ASSUMED_RATE / 1e6:.0f} MB/s; the wait for turns in flight is no downtime"
)
"""What the estimate is made of, for people."""


class Actor(msgspec.Struct, frozen=True):
    """An actor, and how long a move would wait for it.

    Attributes:
        routine: its routine.
        message: message of the turn in flight; None where none is.
        attempt: its attempt.
        since: wall clock at which that attempt began.
        running: seconds for which it has run.
        typical: seconds that turns of this routine take, by the job's history; None where none has ended.
        checkpoint_age: seconds since the attempt's last checkpoint; None for none.
        checkpoint_every: seconds between its checkpoints, by the last ones; None for fewer than two.
        grace: seconds that it would get.
    """

    routine: str
    message: int | None = None
    attempt: int | None = None
    since: float | None = None
    running: float = 0.0
    typical: float | None = None
    checkpoint_age: float | None = None
    checkpoint_every: float | None = None
    grace: float = 0.0

    @property
    def wait(self) -> float:
        """Seconds until its next safe point, the grace at most; the grace where nothing is known."""
        if self.message is None:
            return 0.0
        known = ((self.typical, self.running), (self.checkpoint_every, self.checkpoint_age))
        rests = [
            whole - passed for whole, passed in known
            if whole is not None and passed is not None and whole > passed
        ]
        return min([self.grace, *rests])


def downtime(
    round_trip: float, fsync_here: float, fsync_there: float, changing: float
) -> tuple[float, float]:
    """Estimate how long a job would be frozen for.

    Args:
        round_trip: seconds.
        fsync_here: seconds of a commit.
        fsync_there: the same over there.
        changing: bytes per second that the job changes.

    Returns:
        Seconds, and the bytes that would move meanwhile.
    """
    delta = changing * (round_trip + fsync_here + fsync_there)
    seconds = (
        ROUND_TRIPS * round_trip + COMMITS_HERE * fsync_here + COMMITS_THERE * fsync_there
        + delta / ASSUMED_RATE
    )
    return seconds, delta


class Local(msgspec.Struct, frozen=True):
    """What the source knows by itself.

    Attributes:
        job_id: the job.
        host: this host.
        to: the target.
        key: the target's public key, under which the two are paired.
        connected: whether it can be reached.
        protocol: lowest and highest version of the protocol between hosts here.
        protocol_there: the same there; None where that isn't known.
        version: of the software here.
        code: with which the job runs here.
        allow_code_drift: whether other code over there is accepted.
        rows: bytes of rows that the job has, about.
        blobs: (digest, bytes) of its blobs.
        fsync: seconds of a write to this host's disk.
        changing: bytes per second that the job changed while this was looked at.
        actors: of the job.
        max_downtime: seconds that were asked for; None for no bound.
    """

    job_id: str
    host: str
    to: str
    key: str
    connected: bool
    protocol: tuple[int, int]
    protocol_there: tuple[int, int] | None
    version: str
    code: Code
    allow_code_drift: bool
    rows: int
    blobs: list[tuple[str, int]]
    fsync: float
    changing: float
    actors: list[Actor]
    max_downtime: float | None = None


def survey_document(
    local: Local, reasons: Sequence[Reason], answer: Surveyed | None, measured: Timing | None
) -> dict[str, Any]:
    """Make the document that ``migrate --dry-run`` prints.

    Args:
        local: what the source knows.
        reasons: everything that speaks against the move.
        answer: of the target; None where there was none.
        measured: of the way; None likewise.
    """
    waits = [actor.wait for actor in local.actors]
    return {
        "job_id": local.job_id,
        "from": local.host,
        "to": local.to,
        "would_move": not reasons,
        "reasons": [{"type": kind, "message": sentence} for kind, sentence in reasons],
        "pairing": {"paired": True, "key": local.key, "connected": local.connected},
        "versions": _versions(local, answer),
        "code": _code(local, answer),
        "disk": None if answer is None else {
            "free_bytes": answer.free_bytes, "needed_bytes": answer.needed_bytes,
        },
        "clock": None if measured is None else {
            "difference_ms": _ms(measured.clock_difference), "error_ms": _ms(measured.round_trip / 2),
        },
        "bytes": _bytes(local, answer),
        "downtime": _downtime(local, answer, measured),
        "wait_ms": _ms(max(waits, default=0.0)),
        "actors": [_actor(actor) for actor in local.actors],
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _versions(local: Local, answer: Surveyed | None) -> dict[str, Any]:
    low = high = None
    if local.protocol_there is not None:
        low, high = local.protocol_there
    common = None if high is None or low is None else min(high, local.protocol[1])
    if common is not None and common < max(low or 0, local.protocol[0]):
        common = None
    return {
        "sojourn": {"here": local.version, "there": None if answer is None else answer.version},
        "protocol": {
            "here": list(local.protocol),
            "there": None if local.protocol_there is None else list(local.protocol_there),
            "used": common,
        },
        "copy_format": {
            "here": COPY_FORMAT, "there": None if answer is None else list(answer.copy_formats),
        },
    }


def _code(local: Local, answer: Surveyed | None) -> dict[str, Any]:
    there = Code() if answer is None else answer.code
    by_routine = differing_by_routine(local.code, there) if there.files else {}
    return {
        "here": local.code.fingerprint or None,
        "there": there.fingerprint or None,
        "compared": bool(local.code.files and there.files),
        "drift_allowed": local.allow_code_drift,
        "files": differing(local.code, there) if there.files else [],
        "routines": [
            {
                "routine": routine,
                "here": routine_fingerprint(local.code, routine),
                "there": routine_fingerprint(there, routine),
                "differing": by_routine.get(routine, []),
            }
            for routine in sorted({*local.code.routines, *there.routines})
        ],
    }


def _bytes(local: Local, answer: Surveyed | None) -> dict[str, Any]:
    held = dict(() if answer is None else answer.held)
    total = sum(size for _, size in local.blobs)
    there = sum(min(size, held.get(digest, 0)) for digest, size in local.blobs)
    return {
        "to_send": local.rows + total - there,
        "rows": local.rows,
        "blobs": total,
        "blobs_there": there,
        "held": sorted(digest for digest, size in local.blobs if held.get(digest, 0) >= size),
        "missing": sorted(digest for digest, size in local.blobs if held.get(digest, 0) < size),
    }


def _downtime(local: Local, answer: Surveyed | None, measured: Timing | None) -> dict[str, Any] | None:
    if answer is None or measured is None:
        return None
    fsync_there = answer.fsync_ms / 1000
    seconds, delta = downtime(measured.round_trip, local.fsync, fsync_there, local.changing)
    return {
        "estimated_ms": _ms(seconds),
        "round_trip_ms": _ms(measured.round_trip),
        "fsync_here_ms": _ms(local.fsync),
        "fsync_there_ms": round(answer.fsync_ms, 3),
        "changing_bytes_per_s": round(local.changing),
        "delta_bytes": round(delta),
        "max_ms": None if local.max_downtime is None else _ms(local.max_downtime),
        "how": HOW,
    }


def _actor(actor: Actor) -> dict[str, Any]:
    return {
        "routine": actor.routine,
        "in_flight": actor.message is not None,
        "message": actor.message,
        "attempt": actor.attempt,
        "since": rfc3339(actor.since),
        "running_ms": _ms(actor.running),
        "typical_turn_ms": None if actor.typical is None else _ms(actor.typical),
        "last_checkpoint_ms_ago": None if actor.checkpoint_age is None else _ms(actor.checkpoint_age),
        "checkpoint_every_ms": None if actor.checkpoint_every is None else _ms(actor.checkpoint_every),
        "grace_ms": _ms(actor.grace),
        "wait_ms": _ms(actor.wait),
    }


def middle(values: Iterable[float]) -> float | None:
    """Give the median; None of nothing."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else None
