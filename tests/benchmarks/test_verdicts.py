"""Ratios, medians, percentiles and verdicts are computed right."""

from __future__ import annotations

import pytest

from benchmarks.suite.figure import Line
from benchmarks.suite.targets import Of, Target, at_least, at_most
from benchmarks.suite.verdicts import Spread, distribution, judge, percentile, ratios, spread

LINE = Line("speed", "speed", "turns/s", [100.0, 300.0, 120.0], "bare", [200.0, 300.0, 400.0])


def test_a_ratio_is_of_two_that_were_measured_next_to_each_other() -> None:
    assert ratios(LINE) == [0.5, 1.0, 0.3]


def test_a_repetition_without_its_neighbour_is_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios(Line("speed", "speed", "turns/s", [1.0, 2.0], "bare", [1.0]))


def test_repetitions_are_a_median_between_the_lowest_and_the_highest() -> None:
    assert spread([5.0, 1.0, 4.0, 2.0, 9.0]) == Spread(4.0, 1.0, 9.0)


@pytest.mark.parametrize(
    ("target", "value", "met", "factor"),
    [
        (at_least(Of.RATIO, 0.5), 0.5, True, 1.0),  # the bound itself is met
        (at_least(Of.RATIO, 0.25), 0.5, True, 2.0),
        (at_least(Of.RATIO, 0.8), 0.5, False, 0.625),
        (at_least(Of.OURS, 1200.0), 120.0, False, 0.1),
        (at_most(Of.OURS, 60.0), 120.0, False, 0.5),
        (at_most(Of.OURS, 240.0), 120.0, True, 2.0),
        (at_most(Of.RATIO, 0.5), 0.5, True, 1.0),
    ],
)
def test_a_target_is_held_against_the_median_of_ours_or_of_the_ratios(
    target: Target, value: float, met: bool, factor: float
) -> None:
    judged = judge(LINE, target)
    assert (judged.value, judged.met, judged.factor) == (value, met, factor)


def test_nothing_at_all_is_endlessly_better_than_a_bound_from_above() -> None:
    judged = judge(Line("idle", "idle", "%", [0.0]), at_most(Of.OURS, 0.5))
    assert judged.met
    assert judged.factor == float("inf")


@pytest.mark.parametrize(
    ("share", "found"), [(0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100), (0.0, 1), (0.01, 1)]
)
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(share: float, found: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == found


def test_the_median_of_a_few_is_one_of_them() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([7.0], 0.99) == 7.0


def test_a_distribution_rises_to_all() -> None:
    assert distribution([3.0, 1.0, 2.0, 2.0]) == [(1.0, 0.25), (2.0, 0.5), (2.0, 0.75), (3.0, 1.0)]
