"""Answers to messages of hand-offs that have no machine here: ended, aborted, or never heard of."""

from __future__ import annotations

from sojourn.runtime.errors import HandoffAborted
from sojourn.runtime.handoff.table import SourceState
from sojourn.runtime.job import HandoffRow
from sojourn.runtime.wire.handoff import (
    Abort,
    Ack,
    Chunk,
    Commit,
    HandoffMessage,
    HandoffRefused,
    Offer,
    PreflightReady,
    Prepared,
    Query,
    Unknown,
    Waiting,
)


def answer_at_source(
    message: Query | Prepared | PreflightReady, record: HandoffRow | None, own_store: str
) -> HandoffMessage | None:
    """Say how a hand-off ended.

    Args:
        message: what the target asks.
        record: this side's durable record, if there is one: RELEASED or GONE.
        own_store: id of this store.

    Returns:
        COMMIT past the commit point; ABORT where nothing is known of it, but only as the store that made
        the offer; None for silence. READY names no store, and its target holds no job yet: it comes of a
        PREFLIGHT that was repeated, and that target would keep a place for the job in vain.
    """
    if record is not None and record.state in (SourceState.RELEASED, SourceState.GONE):
        return Commit(record.m, record.job_id, record.instance, record.epoch)
    if not isinstance(message, PreflightReady) and message.source_store != own_store:
        return None
    return Abort(message.m, "the source has no such hand-off: the job stayed there")


def answer_at_target(
    message: Commit | Offer | Chunk | Waiting, known_epoch: int, same_instance: bool, own_store: str
) -> HandoffMessage:
    """Answer for a hand-off that this target knows nothing of.

    Args:
        message: what the source sends.
        known_epoch: epoch under which the job is known here; 0 for none.
        same_instance: whether it is the same instance.
        own_store: id of this store.
    """
    if isinstance(message, Commit):
        if same_instance and known_epoch >= message.epoch + 1:
            return Ack(message.m, known_epoch)
        return Unknown(message.m, own_store)
    return HandoffRefused(
        message.m, HandoffAborted.__name__,
        "the target restarted and has nothing of this hand-off any more",
    )
