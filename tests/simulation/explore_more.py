"""Explores for as long as told: ``python -m tests.simulation.explore_more --minutes 60``.

First the larger worlds, to the last state where time and memory last; then the rest of the time walks at
random through a world that is too large for that. Exits 1, with the way to it, on anything that must not
be.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.simulation.explorations import EVERY_TIME, LARGER, run, sentence
from tests.simulation.explorer import Violation
from tests.simulation.fair import Course, Restless
from tests.simulation.host import Bounds
from tests.simulation.world import World

WIDE = Bounds(moves=6, failures=3, network=4, hosts=3, items=("rows", "blob"))
LONG = 600
"""Events of one walk."""


def walk(world: World, chance: random.Random) -> Violation | Restless | None:
    """Go through a world at random, and then see what that leads to.

    Args:
        world: the world.
        chance: chooses.

    Returns:
        What must not be; None if nothing is wrong.
    """
    state = world.first()
    way: list[str] = []
    for _ in range(LONG):
        following, event = chance.choice(world.following(state))
        way.append(event)
        wrong = following if isinstance(following, str) else world.problem(following)
        if wrong is not None or isinstance(following, str):
            return Violation(str(wrong), way)
        state = following
    return Course(world).first_restless([state])


def walks(seed: int, until: float) -> tuple[int, int, str]:
    """Walk until a time; gives how many walks, the highest epoch, and what is wrong, if anything is."""
    done, epoch = 0, 1
    while time.monotonic() < until:
        world = World(WIDE)
        for number in range(200):
            problem = walk(world, random.Random(f"{seed} {done}"))
            done += 1
            if problem is not None:
                return done, epoch, f"walk {number} of seed {seed}: {problem}"
            if time.monotonic() >= until:
                break
        epoch = max(epoch, world.highest_epoch)
    return done, epoch, ""


def main(arguments: list[str]) -> int:
    """Explore until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.explore_more", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--most", type=int, default=10_000_000, help="states of one world; 5 GB by default")
    parser.add_argument("--seed", type=int, default=1, help="of the walks")
    options = parser.parse_args(arguments)
    until = time.monotonic() + options.minutes * 60
    for exploration in (*EVERY_TIME, *LARGER):
        if time.monotonic() >= until:
            break
        result = run(exploration, most=options.most, until=until)
        print(sentence(exploration, result), flush=True)
        if result.problem is not None:
            print(result.problem)
            return 1
    done, epoch, wrong = walks(options.seed, until)
    print(f"{done:,} walks of {LONG} events, up to epoch {epoch}, from seed {options.seed} {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
