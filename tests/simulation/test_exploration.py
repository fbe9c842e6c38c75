"""The shipped machines of a hand-off, gone through to the last state of a small world.

Whatever is lost, repeated, late or out of order, whoever dies at whatever point, whichever timer fires
when: in no state do two hosts own or run the job, in each the whole of it is on a disk that knows how to go
on, its attempts are counted exactly, no epoch is used twice; and each leads to one owner once nothing goes
wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sojourn.runtime.handoff import source, target
from sojourn.runtime.handoff.table import (
    SOURCE_TRANSITIONS,
    TARGET_TRANSITIONS,
    SourceState,
    SourceStep,
    next_source,
    next_target,
)
from tests.simulation.explorations import EVERY_TIME, Exploration, Result, run, sentence
from tests.simulation.explorer import Found, explore
from tests.simulation.host import Bounds
from tests.simulation.world import World


@pytest.mark.timeout(900)
@pytest.mark.parametrize("exploration", EVERY_TIME, ids=lambda one: one.name)
def test_every_state_is_right_and_leads_to_one_owner(
    exploration: Exploration, record_property: Callable[[str, object], None]
) -> None:
    result: Result = run(exploration)
    assert result.problem is None, str(result.problem)
    assert result.found.whole
    assert result.found.states >= exploration.at_least
    moved, forced = exploration.bounds.moves, exploration.bounds.forces
    assert result.epochs == 1 + moved + forced, "the job did move, and was forced, as often as it could be"
    record_property("figure", f"explored: {sentence(exploration, result)}")


def test_more_than_a_million_states_are_gone_through() -> None:
    assert sum(exploration.at_least for exploration in EVERY_TIME) > 1_000_000


def test_every_transition_of_both_tables_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: set[tuple[str, str]] = set()

    def noting(shipped: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def following(state: Any, step: Any) -> Any:
            found = shipped(state, step)
            if found is not None:
                taken.add((type(state).__name__ + "." + state, step))
            return found

        return following

    monkeypatch.setattr(source, "next_source", noting(next_source))
    monkeypatch.setattr(target, "next_target", noting(next_target))
    explore(World(Bounds(moves=1, failures=0, network=1, forces=1)))
    table = {(f"SourceState.{row.source}", row.event) for row in SOURCE_TRANSITIONS}
    table |= {(f"TargetState.{row.source}", row.event) for row in TARGET_TRANSITIONS}
    through_a_file = (f"SourceState.{SourceState.FROZEN}", SourceStep.WRITTEN)
    assert taken == table - {through_a_file}


def test_crashes_that_are_left_out_come_to_the_same_as_others() -> None:
    bounds = Bounds(moves=1, failures=1, network=1, forces=1)
    few, many = (explore(World(bounds, every_crash=every))[0] for every in (False, True))
    assert many.steps > few.steps
    assert (many.states, many.host_states, many.violation) == (few.states, few.host_states, None)


def test_a_search_that_ends_early_says_so() -> None:
    found: Found = explore(World(Bounds()), most=100)[0]
    assert not found.whole
