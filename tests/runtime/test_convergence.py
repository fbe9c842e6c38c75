"""When a pre-copy ends: frozen when little is left, given up where a bound can't be held."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sojourn.runtime.handoff.convergence import (
    BOUNDED_PASSES,
    PASSES,
    SMALL,
    Convergence,
    CopyFigures,
    Verdict,
)


def verdicts(bound: float | None, left: list[int], rate: float = 100e6) -> list[Verdict]:
    convergence = Convergence(bound)
    return [convergence.passed(size, rate, 0.0005) for size in left]


def test_a_small_job_is_frozen_at_once() -> None:
    assert verdicts(None, [SMALL]) == [Verdict.FREEZE]


def test_a_large_one_is_copied_until_little_is_left() -> None:
    assert verdicts(None, [10**9, 10**7, 10**5, 10**3]) == [
        Verdict.AGAIN, Verdict.AGAIN, Verdict.AGAIN, Verdict.FREEZE,
    ]


def test_without_a_bound_a_job_that_changes_too_fast_is_frozen_all_the_same() -> None:
    assert verdicts(None, [10**9, 10**8, 10**8, 10**8])[-1] is Verdict.FREEZE


def test_with_a_bound_it_is_given_up() -> None:
    found = verdicts(0.010, [10**9, *([10**8] * 10)])
    assert Verdict.FREEZE not in found
    assert Verdict.GIVE_UP in found


def test_a_bound_is_held_against_what_is_left_and_how_fast_it_goes() -> None:
    assert verdicts(0.050, [1_000_000], rate=100e6) == [Verdict.FREEZE]
    assert verdicts(0.050, [1_000_000], rate=1e6) == [Verdict.AGAIN]


@given(
    st.one_of(st.none(), st.floats(0.001, 1.0)),
    st.lists(st.integers(0, 10**10), min_size=BOUNDED_PASSES, max_size=BOUNDED_PASSES),
)
def test_every_pre_copy_comes_to_an_end(bound: float | None, left: list[int]) -> None:
    found = verdicts(bound, left)
    ends = [number for number, verdict in enumerate(found) if verdict is not Verdict.AGAIN]
    assert ends, "it would go on for ever"
    if bound is None:
        assert ends[0] < PASSES
        assert found[ends[0]] is Verdict.FREEZE


def test_the_round_trip_is_the_least_that_was_seen() -> None:
    figures = CopyFigures()
    for sent, acked in ((1.0, 1.5), (2.0, 2.25), (3.0, 3.75)):
        figures.sent(sent)
        figures.acked(acked)
    assert figures.round_trip == 0.25
    assert figures.rate(10 * SMALL, 2.0) == 10 * SMALL
