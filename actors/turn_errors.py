"""From an exception of a handler to the record of a failed attempt.

Decides by class whether an error handler would retry it, here in the process that has the classes;
never decides what becomes of the message. What is the host's fault is no failure (``HostFails``).
"""

from __future__ import annotations

import math
import time
import traceback

from sojourn.actors.loading import LoadedRoutine
from sojourn.runtime.errors import (
    GiveUp,
    InvalidFlow,
    InvalidInput,
    RetryLater,
    ValueMalformed,
    ValueNotEncodable,
)
from sojourn.runtime.values import class_path
from sojourn.runtime.wire.actor import Ending, Result, Turn, TurnError


class HostFails(BaseException):
    """A large value can't be read from this host's disk, or written to it: no fault of the routine's.

    No ``Exception``, so that handlers let it pass.
    """


TRACEBACK_LIMIT = 8000
"""Characters of a traceback that are kept."""

MESSAGE_LIMIT = 4000
NEVER_RETRIED = (ValueNotEncodable, ValueMalformed, InvalidFlow, InvalidInput, GiveUp)


def describe_error(loaded: LoadedRoutine, error: BaseException) -> TurnError:
    """Give an exception as it is recorded, and whether the error handler would retry it."""
    if isinstance(error, RetryLater):
        return _later(error)
    if isinstance(error, NEVER_RETRIED):
        retryable = False
    else:
        retryable = _is_among(error, loaded.retryable, loaded.retryable_unloaded) and not _is_among(
            error, loaded.non_retryable, loaded.non_retryable_unloaded
        )
    return make_error(error, retryable=retryable)


def hindered(turn: Turn, job_id: str, fault: HostFails, started: float) -> Result:
    """Make the result of a turn that the host's disk failed.

    Args:
        turn: it.
        job_id: its job.
        fault: what happened; its text ends with what is to be done first.
        started: wall clock in seconds.
    """
    error = TurnError(
        HostFails.__name__, f"{fault}, then run `sojourn retry {job_id}`", retryable=False
    )
    return Result(turn.dispatch, Ending.HINDERED, started, time.time(), error=error)


def _is_among(
    error: BaseException, classes: tuple[type[BaseException], ...], unloaded: frozenset[str]
) -> bool:
    """Tell whether an exception is of one of the classes, or of one loaded after they were looked up."""
    if isinstance(error, classes):
        return True
    return bool(unloaded) and not unloaded.isdisjoint(map(class_path, type(error).__mro__))


def _is_number(given: object) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool) and math.isfinite(given)


def _later(error: RetryLater) -> TurnError:
    after = error.after
    if after is None:
        return make_error(error, retryable=True)
    if not _is_number(after):
        wrong = InvalidFlow(f"RetryLater(after=) takes seconds, not {after!r}")
        return make_error(wrong.with_traceback(error.__traceback__), retryable=False)
    return make_error(error, retryable=True, after=max(0.0, float(after)))


def make_error(
    error: BaseException, *, retryable: bool, after: float | None = None
) -> TurnError:
    """Give an exception as it is recorded, bounded."""
    return TurnError(
        clean(type(error).__name__), clean(_message(error))[:MESSAGE_LIMIT],
        clean(_traceback(error))[-TRACEBACK_LIMIT:], retryable, after,
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - an author's __str__ may raise anything
        return "(its text can't be made)"


def _traceback(error: BaseException) -> str:
    tail = error.__traceback__.tb_next if error.__traceback__ is not None else None
    try:
        return "".join(
            traceback.format_exception(type(error), error, tail or error.__traceback__, limit=-20)
        )
    except BaseException:  # noqa: BLE001 - as above, and causes may be chained without end
        return "".join(traceback.format_tb(tail or error.__traceback__, limit=-20))


def clean(text: str) -> str:
    """Make any text encodable: lone surrogates are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
