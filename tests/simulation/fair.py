"""What every state leads to once nothing goes wrong any more: both hosts up and a network that works.

One fair course of things: hosts that are down start, messages arrive once and in order, what hosts do by
themselves is done, and timers fire when nothing else is left to happen. No operator begins anything new.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tests.simulation.events import BY_ITSELF
from tests.simulation.invariants import at_rest
from tests.simulation.world import Move, World

LONGEST = 400
"""Events after which the world is taken not to come to rest."""

PATIENT = 6
"""Timers that repeat something, before one that gives up fires."""


class Restless(NamedTuple):
    """A state that doesn't come to rest.

    Attributes:
        state: its number.
        problem: what is wrong with it or with one on the way; or that nothing ends.
        way: the last events.
    """

    state: int
    problem: str
    way: list[str]


class Course:
    """Follows the fair course, and remembers what came to rest.

    Args:
        world: the world.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._resting: set[int] = set()
        self.rest = 0
        """State in which the last course came to rest."""

    def first_restless(self, states: Iterable[int]) -> Restless | None:
        """Give the first state that doesn't come to rest with one owner that runs the job."""
        for state in states:
            if state not in self._resting:
                restless = self._follow(state)
                if restless is not None:
                    return restless
        return None

    def after_moves(self, moves: int) -> int:
        """Give the state in which so many moves, from host to host, went well.

        Whatever was sent meanwhile may come again, where the network has no bound.
        """
        world = self._world
        state, sent = world.first(), 0
        for _ in range(moves):
            state = next(
                after for after, event in world.following(state)
                if "migrate" in event and " crash " not in event and isinstance(after, int)
            )
            course = Course(world)
            restless = course._follow(state)
            assert restless is None, restless
            for seen in course._resting:
                sent |= world.network(seen)
            state = course.rest
        return state if world.bounds.network is not None else world.with_sent(state, sent)

    def _follow(self, begin: int) -> Restless | None:
        world = self._world
        state, waited = begin, 0
        seen: list[int] = []
        way: list[str] = []
        for _ in range(LONGEST):
            if state in self._resting or (
                not world.network(state) and at_rest(world.hosts(state), world.shop)
            ):
                self._resting.update(seen)
                self.rest = state
                return None
            seen.append(state)
            move, received, ticked = self._next(state, waited)
            waited += ticked
            if move is None:
                return Restless(begin, "nothing happens any more", way[-30:])
            following = world.apply(state, move, received)
            if isinstance(following, str):
                return Restless(begin, following, [*way[-30:], move.event])
            way.append(move.event)
            state = following
            wrong = world.problem(state)
            if wrong is not None:
                return Restless(begin, wrong, way[-30:])
        return Restless(begin, "it never ends", way[-30:])

    def _next(self, state: int, waited: int) -> tuple[Move | None, int, bool]:
        """Choose what happens next: the move, the message that it takes in, whether a timer fires."""
        world = self._world
        own = [
            move
            for place in range(len(world.names))
            for move in world.own(place, world.host(state, place))
        ]
        for move in own:
            if move.event.endswith(": restart"):
                return move, 0, False
        network = world.network(state)
        if network:
            bit = network & -network
            whole = [
                move for move in world.delivered(state, bit.bit_length() - 1) if " crash " not in move.event
            ]
            return (whole[0] if whole else Move("nothing comes of it", 0)), bit, False
        for move in own:
            if move.event.partition(": ")[2].startswith(BY_ITSELF):
                return move, 0, False
        soft = [move for move in own if move.event.endswith((": tick", ": link back"))]
        late = [move for move in own if move.event.endswith(": late tick")]
        if late and (not soft or waited % (PATIENT + 1) == PATIENT):
            return late[waited // (PATIENT + 1) % len(late)], 0, True
        return (soft[waited % len(soft)] if soft else None), 0, True
