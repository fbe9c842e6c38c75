"""The exploration notices mistakes: each of these is put into the shipped code, and found."""

from __future__ import annotations

import pytest

from tests.simulation.explorations import EVERY_TIME, LARGER, Exploration, run
from tests.simulation.host import Bounds
from tests.simulation.mutants import NAMED, OURS, Mutant


@pytest.mark.parametrize("mutant", [*NAMED, *OURS], ids=lambda one: one.name)
def test_a_mistake_is_found(mutant: Mutant) -> None:
    shown_in = Exploration(mutant.name, mutant.bounds, mutant.begins_after)
    with mutant.at_work():
        result = run(shown_in)
    assert result.problem is not None
    assert (result.restless is not None) == mutant.fair
    assert mutant.says in result.problem.problem, str(result.problem)


def test_the_worlds_of_mutants_are_parts_of_worlds_that_are_right_without_them() -> None:
    for mutant in (*NAMED, *OURS):
        explored = [one for one in (*EVERY_TIME, *LARGER) if one.begins_after == mutant.begins_after]
        assert any(covers(one.bounds, mutant.bounds) for one in explored), mutant.name


def covers(large: Bounds, small: Bounds) -> bool:
    if (large.network is None) != (small.network is None):
        return False
    return all(
        getattr(small, bound) <= getattr(large, bound)
        for bound in ("moves", "failures", "hosts", "forces", *(["network"] if large.network else []))
    )


def test_there_are_the_seven_that_everyone_thinks_of_and_more_than_ten_others() -> None:
    assert len(NAMED) == 7
    assert len({mutant.name for mutant in OURS}) == len(OURS) >= 10
