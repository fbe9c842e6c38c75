"""Answers to messages of hand-offs that have no machine here: ended, aborted, or never heard of."""

from __future__ import annotations

from sojourn.runtime.errors import HandoffAborted
from sojourn.runtime.handoff.table import SourceState
from sojourn.runtime.job import HandoffRow, JobHead
from sojourn.runtime.wire.handoff import (
    Abort,
    Ack,
    Chunk,
    Closed,
    Commit,
    HandoffMessage,
    HandoffRefused,
    Offer,
    PreflightReady,
    Prepared,
    Query,
    Superseded,
    Unknown,
    Waiting,
)


def answer_at_source(
    message: Query | Prepared | Ack | PreflightReady, record: HandoffRow | None, own_store: str
) -> HandoffMessage | None:
    """Say how a hand-off ended.

    Args:
        message: what the target asks, or tells.
        record: this side's durable record, if there is one.
        own_store: id of this store.

    Returns:
        Past the commit point COMMIT, or CLOSED to an ACK. Where the job was taken back by force ABORT, or
        SUPERSEDED to an ACK. Where nothing is known of it, ABORT, but only as the store that made the
        offer: another one (put back from a copy, or made anew) casts none, but it can't take the job back
        either, which CLOSED says. None for silence. READY names no store, and its target holds no job yet:
        it comes of a PREFLIGHT that was repeated, and that target would keep a place for the job in vain.
    """
    state = None if record is None else record.state
    if record is not None and state in (SourceState.RELEASED, SourceState.GONE):
        if isinstance(message, Ack):
            return Closed(record.m) if state == SourceState.GONE else None
        return Commit(record.m, record.job_id, record.instance, record.epoch)
    if record is not None and state == SourceState.RECLAIMED:
        if isinstance(message, Ack):
            return Superseded(record.m, record.epoch + 2)
        return Abort(record.m, "the source's operator took the job back by force")
    if isinstance(message, Ack):
        return Closed(message.m) if message.source_store != own_store else None
    if not isinstance(message, PreflightReady) and message.source_store != own_store:
        return None
    return Abort(message.m, "the source has no such hand-off: the job stayed there")


def answer_at_target(
    message: Commit | Offer | Chunk | Waiting, known: JobHead | None, own_store: str
) -> HandoffMessage:
    """Answer for a hand-off that this target knows nothing of.

    Args:
        message: what the source sends.
        known: what is known here under the id of the COMMIT's job, its tombstone included.
        own_store: id of this store.
    """
    if isinstance(message, Commit):
        same = known is not None and known.instance == message.instance
        if known is not None and same and known.epoch >= message.epoch + 1:
            return Ack(message.m, known.epoch)
        return Unknown(message.m, own_store)
    return HandoffRefused(
        message.m, HandoffAborted.__name__,
        "the target restarted and has nothing of this hand-off any more",
    )
