"""Seeds that once found something, what that was, and the change that brings it back.

A seed means something else once the simulation changes. That is why each stands beside its mutation: the
test tells when a seed has lost its meaning, and another is found with ``first_seed_that_notices``.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from tests.simulation.hosts import mutations
from tests.simulation.hosts.mutations import Mutation
from tests.simulation.hosts.plan import Plan, make_plan, make_quick_plan
from tests.simulation.hosts.world import run_seed


class Regression(msgspec.Struct, frozen=True):
    """What a seed found.

    Attributes:
        seed: it.
        found: the sentence.
        mutation: brings it back.
        plan: draws what the seed means.
    """

    seed: int
    found: str
    mutation: Mutation
    plan: Callable[[int], Plan] = make_plan


REGRESSIONS = (
    Regression(
        7, "an ordered actor was handed newer messages while older ones were on their way back to it, "
        "after an attempt that failed",
        mutations.an_ordered_actor_is_sent_more_after_a_failure, make_quick_plan,
    ),
    Regression(
        2, "an ordered actor's process ran messages that were on their way to it when an attempt failed, "
        "before those that it had given back",
        mutations.an_ordered_process_runs_what_was_on_its_way, make_quick_plan,
    ),
    Regression(
        385, "a retry waited an hour longer when the wall clock was set back an hour and the host died "
        "after that",
        mutations.dues_stay_where_they_are_when_the_clock_is_set,
    ),
    Regression(
        5, "a retry waited an hour longer when the wall clock was set back an hour while the host was down",
        mutations.a_clock_that_was_set_back_while_down_is_believed,
    ),
)


def first_seed_that_notices(
    mutation: Mutation, plan: Callable[[int], Plan] = make_plan, seeds: int = 1000
) -> int | None:
    """Find a seed for a regression."""
    with pytest.MonkeyPatch.context() as patch:
        mutation(patch)
        return next((seed for seed in range(seeds) if run_seed(seed, plan=plan(seed)).violation), None)
