"""Which worlds are explored: those of every test run, which close in minutes, and the larger ones."""

from __future__ import annotations

from typing import NamedTuple

from tests.simulation.explorer import Found, Violation, explore
from tests.simulation.fair import Course, Restless
from tests.simulation.host import Bounds
from tests.simulation.world import World


class Exploration(NamedTuple):
    """A world to go through.

    Attributes:
        name: what it is about.
        bounds: what makes it finite.
        begins_after: moves, from host to host and undisturbed, before anything goes wrong.
        at_least: states that it has, rounded down; 0 where nobody counted them.
        rests: whether each of its states leads to one owner that runs the job. Not so where a store was put
            back: a job that a peer is in doubt about waits for an operator.
    """

    name: str
    bounds: Bounds
    begins_after: int = 0
    at_least: int = 0
    rests: bool = True


EVERY_TIME = (
    Exploration(
        "one move; whatever was ever sent may come at any time, any number of times",
        Bounds(moves=1, failures=0, network=None), at_least=350_000,
    ),
    Exploration("there and back", Bounds(moves=2, failures=0, network=1), at_least=110_000),
    Exploration(
        "there and back and there again: the third move",
        Bounds(moves=3, failures=1, network=2), begins_after=2, at_least=250_000,
    ),
    Exploration(
        "after there and back, everything of it may come again, for ever",
        Bounds(moves=2, failures=0, network=None), begins_after=2, at_least=4_000,
    ),
    Exploration(
        "a job of several parts and a blob, two attempts of which fail",
        Bounds(moves=1, failures=2, network=1, items=("rows", "blob"), halves=True),
        at_least=45_000,
    ),
    Exploration(
        "one move, and a doubt ended by force",
        Bounds(moves=1, failures=1, network=2, forces=1), at_least=230_000,
    ),
    Exploration(
        "there and back, and a doubt ended by force",
        Bounds(moves=2, failures=0, network=1, forces=1), at_least=150_000,
    ),
    Exploration(
        "one move, and the source's store is put back from a copy",
        Bounds(moves=1, failures=0, network=2, copied="a"), at_least=250_000, rests=False,
    ),
    Exploration(
        "three hosts: the second move, to either of the others",
        Bounds(moves=2, failures=0, network=1, hosts=3), begins_after=1, at_least=16_000,
    ),
)

LARGER = (
    Exploration("there and back, while an attempt fails", Bounds(moves=2, failures=1, network=1)),
    Exploration(
        "three hosts, two moves, wherever they lead", Bounds(moves=2, failures=0, network=1, hosts=3),
    ),
    Exploration(
        "one move of a job of several parts, two messages on their way",
        Bounds(moves=1, failures=2, network=2, items=("rows", "blob"), halves=True),
    ),
    Exploration(
        "one move, three messages on their way", Bounds(moves=1, failures=1, network=3),
    ),
    Exploration(
        "one move, and the target's store is put back from a copy",
        Bounds(moves=1, failures=0, network=2, copied="b"), rests=False,
    ),
    Exploration(
        "there and back, and a store is put back from a copy",
        Bounds(moves=2, failures=0, network=1, copied="a"), rests=False,
    ),
    Exploration(
        "one move while an attempt fails; whatever was ever sent may come at any time",
        Bounds(moves=1, failures=1, network=None),
    ),
    Exploration(
        "there and back and there again, every fault in all of it",
        Bounds(moves=3, failures=0, network=1),
    ),
    Exploration("there and back, two messages on their way", Bounds(moves=2, failures=0, network=2)),
)


class Result(NamedTuple):
    """What came of an exploration.

    Attributes:
        found: by the search.
        restless: a state from which working hosts don't come to rest with one owner; None for none.
        epochs: the highest under which the job was owned.
    """

    found: Found
    restless: Restless | None
    epochs: int

    @property
    def problem(self) -> Violation | Restless | None:
        """Give what is wrong."""
        return self.found.violation or self.restless


def run(exploration: Exploration, *, most: int = 1 << 62, until: float = float("inf")) -> Result:
    """Explore a world, then see what each of its states leads to.

    Args:
        exploration: which.
        most: states after which the search gives up.
        until: monotonic seconds at which it does.
    """
    world = World(exploration.bounds)
    first = Course(world).after_moves(exploration.begins_after)
    found, before = explore(world, first=first, most=most, until=until)
    restless = None
    if found.violation is None and exploration.rests:
        restless = Course(world).first_restless(before)
    return Result(found, restless, world.highest_epoch)


def sentence(exploration: Exploration, result: Result) -> str:
    """Say what was explored."""
    found = result.found
    return (
        f"{exploration.name}: {found.states:,} states{'' if found.whole else ' (not all)'}, "
        f"{found.steps:,} steps, of {found.machine_states:,} states of machines"
    )
