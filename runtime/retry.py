"""The retry policy: what happens after an attempt that failed, as a function of its message.

Pure: the random number for jitter is an argument. Never decides *when* something runs; it only says
how long to wait.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sojourn.runtime.flow import ErrorStrategy, HandlerSpec


class Verdict(StrEnum):
    """What becomes of a message whose attempt failed."""

    RETRY = "retry"
    STOP = "stop"
    CONTINUE = "continue"
    SKIP = "skip"


class Decision(msgspec.Struct, frozen=True):
    """The policy's answer.

    Attributes:
        verdict: what becomes of the message.
        delay: seconds until the next attempt; 0 unless the verdict is RETRY.
        retry_count: retries granted to the message so far, this one included.
    """

    verdict: Verdict
    delay: float
    retry_count: int


_ENDS = {
    ErrorStrategy.STOP: Verdict.STOP,
    ErrorStrategy.CONTINUE: Verdict.CONTINUE,
    ErrorStrategy.SKIP: Verdict.SKIP,
}


def backoff_delay(handler: HandlerSpec, retry: int, random: float = 0.5) -> float:
    """Give the delay before a retry.

    ``min(retry_delay * retry_backoff ** (retry - 1), max_delay)``, spread by ``jitter``: truncated
    exponential backoff with proportional jitter.

    Args:
        handler: the error handler in force.
        retry: which retry this is, from 1.
        random: uniform in [0, 1); 0.5 means no deviation.

    Returns:
        Seconds, never negative.
    """
    try:
        plain = handler.retry_delay * handler.retry_backoff ** (retry - 1)
    except OverflowError:
        plain = handler.max_delay
    delay = min(plain, handler.max_delay)
    return max(0.0, delay * (1.0 + handler.jitter * (2.0 * random - 1.0)))


def decide(
    handler: HandlerSpec,
    retry_count: int,
    *,
    retryable: bool,
    after: float | None = None,
    random: float = 0.5,
) -> Decision:
    """Decide what becomes of a message after a failed attempt.

    Args:
        handler: the error handler in force (routine, else flow, else the default).
        retry_count: retries that the message was granted before this failure.
        retryable: whether the error passes the handler's filters.
        after: seconds asked for by ``RetryLater``; None for the handler's own backoff.
        random: uniform in [0, 1), for jitter.

    Returns:
        The decision; its ``retry_count`` grows only when a retry is granted.
    """
    if handler.strategy is not ErrorStrategy.RETRY:
        return Decision(_ENDS[handler.strategy], 0.0, retry_count)
    if not retryable or retry_count >= handler.max_retries:
        return Decision(_ENDS[handler.on_exhausted], 0.0, retry_count)
    granted = retry_count + 1
    delay = backoff_delay(handler, granted, random) if after is None else max(0.0, after)
    return Decision(Verdict.RETRY, delay, granted)
