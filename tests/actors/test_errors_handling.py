"""What an error handler may say."""

from __future__ import annotations

from typing import Any

import pytest

from sojourn import ActorCrashed, ErrorHandler, ErrorStrategy, InvalidFlow
from sojourn.runtime.flow import HandlerSpec
from tests.actors.steps import Broken


def test_the_defaults_are_those_of_the_design() -> None:
    assert ErrorHandler().spec == HandlerSpec(
        strategy=ErrorStrategy.STOP, max_retries=3, retry_delay=1.0, retry_backoff=2.0, max_delay=60.0,
        jitter=0.0, retryable_exceptions=("builtins:Exception",), non_retryable_exceptions=(),
        on_exhausted=ErrorStrategy.STOP,
    )


def test_exceptions_are_named_by_path() -> None:
    spec = ErrorHandler(
        retryable_exceptions=(Broken, OSError), non_retryable_exceptions=(ActorCrashed,)
    ).spec
    assert spec.retryable_exceptions == ("tests.actors.steps:Broken", "builtins:OSError")
    assert spec.non_retryable_exceptions == ("sojourn.runtime.errors:ActorCrashed",)


def test_a_single_class_is_taken_for_a_tuple_of_one() -> None:
    one: Any = Broken
    assert ErrorHandler(retryable_exceptions=one).retryable_exceptions == (Broken,)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"strategy": "retry"}, "strategy must be an ErrorStrategy"),
        ({"on_exhausted": ErrorStrategy.RETRY}, "on_exhausted must be STOP, CONTINUE or SKIP"),
        ({"on_exhausted": "skip"}, "on_exhausted must be STOP, CONTINUE or SKIP"),
        ({"max_retries": -1}, "max_retries must be a whole number from 0"),
        ({"max_retries": 1.5}, "max_retries must be a whole number from 0"),
        ({"max_retries": True}, "max_retries must be a whole number from 0"),
        ({"retry_delay": -0.1}, "retry_delay must be a number from 0"),
        ({"retry_delay": float("nan")}, "retry_delay must be a number from 0"),
        ({"retry_delay": "1"}, "retry_delay must be a number from 0"),
        ({"retry_backoff": float("inf")}, "retry_backoff must be a number from 0"),
        ({"max_delay": None}, "max_delay must be a number from 0"),
        ({"jitter": 1.5}, "jitter must be a fraction from 0 to 1"),
        ({"retryable_exceptions": (3,)}, "retryable_exceptions must hold exception classes, not 3"),
        ({"retryable_exceptions": ("ValueError",)}, "must hold exception classes"),
        ({"non_retryable_exceptions": (ValueError("x"),)}, "non_retryable_exceptions must hold exception"),
        ({"non_retryable_exceptions": int}, "non_retryable_exceptions must hold exception classes"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidFlow) as refused:
        ErrorHandler(**settings)
    assert said in refused.value.message


def test_an_exception_that_no_other_process_can_import_is_refused() -> None:
    class Local(Exception):
        """Can't be found from elsewhere."""

    with pytest.raises(InvalidFlow, match="can't be imported elsewhere"):
        ErrorHandler(retryable_exceptions=(Local,))


def test_set_error_handler_takes_nothing_else() -> None:
    from tests.actors.steps import Fetch

    wrong: Any = ErrorStrategy.SKIP
    with pytest.raises(InvalidFlow, match="set_error_handler takes an ErrorHandler"):
        Fetch().set_error_handler(wrong)
