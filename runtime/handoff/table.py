"""The states of a hand-off and every transition between them, for both sides (section 7 of the design)."""

from __future__ import annotations

from enum import StrEnum

from sojourn.runtime.transitions import Transition


class SourceState(StrEnum):
    """The side that gives a job away."""

    OWNED = "owned"
    PRECOPY = "precopy"
    FREEZING = "freezing"
    FROZEN = "frozen"
    RELEASED = "released"
    GONE = "gone"
    RECLAIMED = "reclaimed"


class TargetState(StrEnum):
    """The side that takes it."""

    UNKNOWN = "unknown"
    STAGING = "staging"
    PREPARED = "prepared"
    OWNED = "owned"
    DROPPED = "dropped"


class SourceStep(StrEnum):
    """What moves the source on."""

    ASKED = "migrate"
    READY = "READY"
    COPIED = "little is left to copy"
    QUIET = "nothing in flight"
    PREPARED = "PREPARED"
    ACKNOWLEDGED = "ACK"
    ABORTED = "abort"
    WRITTEN = "file written"
    RECLAIM = "resolve reclaim"


class TargetStep(StrEnum):
    """What moves the target on."""

    PREFLIGHT = "PREFLIGHT"
    OFFER = "OFFER"
    COMMIT = "COMMIT"
    ABORTED = "ABORT"
    ACCEPT = "resolve accept"
    SUPERSEDED = "SUPERSEDED"


_SOURCE = (
    (SourceState.OWNED, SourceStep.ASKED, SourceState.PRECOPY, "sends PREFLIGHT; turns go on"),
    (SourceState.PRECOPY, SourceStep.READY, SourceState.PRECOPY, "CHUNKs under credit; turns go on"),
    (SourceState.PRECOPY, SourceStep.COPIED, SourceState.FREEZING, "dispatches nothing, recalls"),
    (SourceState.PRECOPY, SourceStep.ABORTED, SourceState.OWNED, "sends ABORT"),
    (SourceState.FREEZING, SourceStep.QUIET, SourceState.FROZEN, "final checkpoint, last CHUNKs, OFFER"),
    (SourceState.FREEZING, SourceStep.ABORTED, SourceState.OWNED, "sends ABORT, thaws"),
    (SourceState.FROZEN, SourceStep.PREPARED, SourceState.RELEASED, "commit point; sends COMMIT"),
    (SourceState.FROZEN, SourceStep.WRITTEN, SourceState.RELEASED, "the file is the COMMIT"),
    (SourceState.FROZEN, SourceStep.ABORTED, SourceState.OWNED, "sends ABORT, thaws"),
    (SourceState.RELEASED, SourceStep.ACKNOWLEDGED, SourceState.GONE, "keeps tombstone and document"),
    (SourceState.RELEASED, SourceStep.RECLAIM, SourceState.RECLAIMED, "by force: owns at e+2"),
)
_TARGET = (
    (TargetState.UNKNOWN, TargetStep.PREFLIGHT, TargetState.STAGING, "code loads, processes forked"),
    (TargetState.STAGING, TargetStep.OFFER, TargetState.PREPARED, "all of it on disk; sends PREPARED"),
    (TargetState.STAGING, TargetStep.ABORTED, TargetState.DROPPED, "deletes what came"),
    (TargetState.PREPARED, TargetStep.COMMIT, TargetState.OWNED, "owns at e+1; sends ACK until S knows"),
    (TargetState.PREPARED, TargetStep.ACCEPT, TargetState.OWNED, "by force: owns at e+2"),
    (TargetState.OWNED, TargetStep.SUPERSEDED, TargetState.DROPPED, "gives way to S at e+2"),
    (TargetState.PREPARED, TargetStep.ABORTED, TargetState.DROPPED, "durable delete"),
)

SOURCE_TRANSITIONS = tuple(
    Transition(source=a.value, event=step.value, target=b.value, note=note)
    for a, step, b, note in _SOURCE
)
TARGET_TRANSITIONS = tuple(
    Transition(source=a.value, event=step.value, target=b.value, note=note)
    for a, step, b, note in _TARGET
)

_NEXT_SOURCE = {(a, step): b for a, step, b, _ in _SOURCE}
_NEXT_TARGET = {(a, step): b for a, step, b, _ in _TARGET}


def next_source(state: SourceState, step: SourceStep) -> SourceState | None:
    """Give the source's next state; None where the table has no such transition."""
    return _NEXT_SOURCE.get((state, step))


def next_target(state: TargetState, step: TargetStep) -> TargetState | None:
    """Give the target's next state; None where the table has no such transition."""
    return _NEXT_TARGET.get((state, step))
