"""``ErrorHandler``: what a flow's author says about failures. Says it; the engine decides by it."""

from __future__ import annotations

import math

from sojourn.runtime.errors import InvalidFlow
from sojourn.runtime.flow import ErrorStrategy, HandlerSpec
from sojourn.runtime.values import class_path

__all__ = ["ErrorHandler", "ErrorStrategy"]

ExceptionClasses = tuple[type[BaseException], ...]


class ErrorHandler:
    """What happens when an attempt fails.

    The delay before retry n is ``min(retry_delay * retry_backoff ** (n - 1), max_delay)``, spread by
    ``jitter``.

    Args:
        strategy: STOP (the job fails), CONTINUE, SKIP or RETRY.
        max_retries: how many retries a message is granted.
        retry_delay: seconds before the first retry.
        retry_backoff: factor from one delay to the next.
        max_delay: longest delay in seconds.
        jitter: fraction by which a delay may deviate, 0 to 1.
        retryable_exceptions: classes that are retried, with their subclasses.
        non_retryable_exceptions: classes that aren't, with their subclasses; they win.
        on_exhausted: what follows when the budget is spent or an error isn't retryable: STOP,
            CONTINUE or SKIP.

    Raises:
        InvalidFlow: if a value can't be meant.
    """

    def __init__(
        self,
        strategy: ErrorStrategy = ErrorStrategy.STOP,
        *,
        max_retries: int = 3,
        retry_delay: float = 1.0,
        retry_backoff: float = 2.0,
        max_delay: float = 60.0,
        jitter: float = 0.0,
        retryable_exceptions: ExceptionClasses = (Exception,),
        non_retryable_exceptions: ExceptionClasses = (),
        on_exhausted: ErrorStrategy = ErrorStrategy.STOP,
    ) -> None:
        if not isinstance(strategy, ErrorStrategy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidFlow(f"strategy must be an ErrorStrategy, not {strategy!r}")
        if on_exhausted is ErrorStrategy.RETRY or not isinstance(on_exhausted, ErrorStrategy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidFlow(f"on_exhausted must be STOP, CONTINUE or SKIP, not {on_exhausted!r}")
        if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidFlow(f"max_retries must be a whole number from 0, not {max_retries!r}")
        for name, value in (
            ("retry_delay", retry_delay), ("retry_backoff", retry_backoff), ("max_delay", max_delay),
        ):
            if not _is_number(value) or value < 0:
                raise InvalidFlow(f"{name} must be a number from 0, not {value!r}")
        if not _is_number(jitter) or not 0 <= jitter <= 1:
            raise InvalidFlow(f"jitter must be a fraction from 0 to 1, not {jitter!r}")
        self.strategy = strategy
        self.retryable_exceptions = _classes("retryable_exceptions", retryable_exceptions)
        self.non_retryable_exceptions = _classes(
            "non_retryable_exceptions", non_retryable_exceptions
        )
        self.spec = HandlerSpec(
            strategy=strategy,
            max_retries=max_retries,
            retry_delay=float(retry_delay),
            retry_backoff=float(retry_backoff),
            max_delay=float(max_delay),
            jitter=float(jitter),
            retryable_exceptions=tuple(map(class_path, self.retryable_exceptions)),
            non_retryable_exceptions=tuple(map(class_path, self.non_retryable_exceptions)),
            on_exhausted=on_exhausted,
        )

    def __repr__(self) -> str:
        return f"ErrorHandler({self.spec!r})"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _classes(name: str, given: object) -> ExceptionClasses:
    classes = given if isinstance(given, (tuple, list, set, frozenset)) else (given,)  # pyright: ignore[reportUnknownVariableType]
    found: list[type[BaseException]] = []
    for cls in classes:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(cls, type) or not issubclass(cls, BaseException):
            raise InvalidFlow(f"{name} must hold exception classes, not {cls!r}")
        if "<locals>" in cls.__qualname__ or cls.__module__ == "__main__":
            raise InvalidFlow(
                f"{name}: {cls.__qualname__} can't be imported elsewhere: define it at the top level "
                "of a module"
            )
        found.append(cls)
    return tuple(found)
