"""The failures that no exception reports: a process that died in an attempt, an attempt over its time."""

from __future__ import annotations

from sojourn.runtime.flow import HandlerSpec
from sojourn.runtime.wire.actor import TurnError

CRASHED = "sojourn.runtime.errors:ActorCrashed"
TIMED_OUT = "sojourn.runtime.errors:TurnTimeout"


def actor_crashed(handler: HandlerSpec, routine: str, how: str) -> TurnError:
    """Make the error of an attempt whose process died by itself.

    Args:
        handler: the error handler in force.
        routine: id of the routine.
        how: how the process ended, as the rest of a sentence.
    """
    return TurnError(
        "ActorCrashed", f"the process of routine {routine!r} {how}", retryable=_retryable(handler, CRASHED)
    )


def turn_timed_out(handler: HandlerSpec, timeout: float | None) -> TurnError:
    """Make the error of an attempt that was killed for its own timeout.

    Args:
        handler: the error handler in force.
        timeout: the timeout in seconds.
    """
    return TurnError(
        "TurnTimeout", f"the attempt took longer than its timeout of {timeout} s",
        retryable=_retryable(handler, TIMED_OUT),
    )


def _retryable(handler: HandlerSpec, name: str) -> bool:
    """``ActorCrashed`` and ``TurnTimeout`` are retried unless the error handler excludes them by name."""
    return name not in handler.non_retryable_exceptions
