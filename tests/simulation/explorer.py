"""Every reachable state of the world, by breadth-first search until nothing is new."""

from __future__ import annotations

import time
from typing import NamedTuple

from tests.simulation.world import World


class Violation(NamedTuple):
    """A way to something that must not be.

    Attributes:
        problem: what is wrong at its end.
        way: the events that lead there.
    """

    problem: str
    way: list[str]

    def __str__(self) -> str:
        return "\n  ".join([self.problem, *self.way])


class Found(NamedTuple):
    """What an exploration found.

    Attributes:
        states: of the world.
        steps: from a state to another, or the same one.
        host_states: of one host.
        machine_states: of the machines.
        machine_steps: different steps that the machines took.
        depth: longest of the shortest ways to a state.
        violation: the shortest way to something that must not be; None if there is none.
        whole: whether the search ended because nothing was new.
    """

    states: int
    steps: int
    host_states: int
    machine_states: int
    machine_steps: int
    depth: int
    violation: Violation | None
    whole: bool


def explore(
    world: World, *, first: int | None = None, most: int = 1 << 62, until: float = float("inf")
) -> tuple[Found, dict[int, int]]:
    """Go through every reachable state, nearest first.

    Args:
        world: what to go through.
        first: where it begins; None for where the job was never moved.
        most: states after which the search gives up.
        until: monotonic seconds at which it does.

    Returns:
        What was found, and for each state the one from which it was reached first.
    """
    first = world.first() if first is None else first
    before: dict[int, int] = {first: first}
    frontier, depth, steps, whole = [first], 0, 0, True
    violation: Violation | None = None
    while frontier and whole and violation is None:
        fresh: list[int] = []
        for state in frontier:
            after = world.following(state)
            steps += len(after)
            for following, event in after:
                if following in before:
                    continue
                if isinstance(following, str):
                    violation = Violation(following, [*way_to(world, before, state), event])
                    break
                before[following] = state
                fresh.append(following)
                wrong = world.problem(following)
                if wrong is not None:
                    violation = Violation(wrong, way_to(world, before, following))
                    break
            whole = len(before) < most and time.monotonic() < until
            if violation is not None or not whole:
                break
        depth += bool(fresh)
        frontier = fresh
    machines = world.shop.machines
    found = Found(
        len(before), steps, world.host_states, len(machines), machines.steps, depth, violation,
        whole and violation is None,
    )
    return found, before


def way_to(world: World, before: dict[int, int], state: int) -> list[str]:
    """Tell the events on the way to a state."""
    way: list[str] = []
    while before[state] != state:
        earlier = before[state]
        way.append(next(event for after, event in world.following(earlier) if after == state))
        state = earlier
    return way[::-1]
