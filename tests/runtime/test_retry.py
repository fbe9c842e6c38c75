"""The retry policy, by its formula and by properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.runtime.flow import ErrorStrategy, HandlerSpec
from sojourn.runtime.retry import Verdict, backoff_delay, decide

ENDS = [ErrorStrategy.STOP, ErrorStrategy.CONTINUE, ErrorStrategy.SKIP]

handlers = st.builds(
    HandlerSpec,
    strategy=st.just(ErrorStrategy.RETRY),
    max_retries=st.integers(0, 50),
    retry_delay=st.floats(0, 1e6),
    retry_backoff=st.floats(0, 1e6),
    max_delay=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
    on_exhausted=st.sampled_from(ENDS),
)
randoms = st.floats(0, 1, exclude_max=True)


def test_the_seeds_delays() -> None:
    handler = HandlerSpec(
        ErrorStrategy.RETRY, max_retries=4, retry_delay=0.3, retry_backoff=1.5, jitter=0.0
    )
    assert [backoff_delay(handler, n) for n in (1, 2, 3, 4)] == pytest.approx(
        [0.3, 0.45, 0.675, 1.0125]
    )


def test_five_failures_spend_a_budget_of_four() -> None:
    handler = HandlerSpec(ErrorStrategy.RETRY, max_retries=4, retry_delay=0.3)
    count = 0
    verdicts: list[Verdict] = []
    for _ in range(5):
        decision = decide(handler, count, retryable=True)
        verdicts.append(decision.verdict)
        count = decision.retry_count
    assert verdicts == [Verdict.RETRY] * 4 + [Verdict.STOP]
    assert count == 4


@given(handlers, st.integers(1, 10_000), randoms)
def test_a_delay_is_bounded_and_never_negative(
    handler: HandlerSpec, retry: int, random: float
) -> None:
    delay = backoff_delay(handler, retry, random)
    assert 0 <= delay <= handler.max_delay * (1 + handler.jitter) * (1 + 1e-9)


@given(handlers, st.integers(1, 100))
def test_without_jitter_the_random_number_counts_for_nothing(
    handler: HandlerSpec, retry: int
) -> None:
    plain = HandlerSpec(
        handler.strategy, handler.max_retries, handler.retry_delay, handler.retry_backoff,
        handler.max_delay, 0.0,
    )
    assert backoff_delay(plain, retry, 0.0) == backoff_delay(plain, retry, 0.999)


@given(handlers, st.integers(0, 60), randoms)
def test_a_retry_is_granted_exactly_while_the_budget_lasts(
    handler: HandlerSpec, count: int, random: float
) -> None:
    decision = decide(handler, count, retryable=True, random=random)
    if count < handler.max_retries:
        assert (decision.verdict, decision.retry_count) == (Verdict.RETRY, count + 1)
    else:
        assert decision.verdict.value == handler.on_exhausted.value
        assert (decision.delay, decision.retry_count) == (0.0, count)


@given(handlers, st.integers(0, 60))
def test_an_error_that_is_not_retryable_ends_at_once(handler: HandlerSpec, count: int) -> None:
    decision = decide(handler, count, retryable=False)
    assert (decision.verdict.value, decision.retry_count) == (handler.on_exhausted.value, count)


@given(handlers, st.floats(-10, 1e6))
def test_retry_later_names_its_own_delay(handler: HandlerSpec, after: float) -> None:
    if handler.max_retries:
        assert decide(handler, 0, retryable=True, after=after).delay == max(0.0, after)


@pytest.mark.parametrize("strategy", ENDS)
def test_other_strategies_never_retry(strategy: ErrorStrategy) -> None:
    decision = decide(HandlerSpec(strategy), 0, retryable=True, after=5.0)
    assert (decision.verdict.value, decision.delay, decision.retry_count) == (strategy.value, 0.0, 0)
