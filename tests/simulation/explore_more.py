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
PARTS, LONG = 12, 60
"""Of a walk: parts, each of which ends in one owner at rest, and events of a part."""

ONWARD = ("arrives", "parts", "quiet", "inspected", "activated", "migrate", "restart", "attempt")
"""What events are named like that bring a move to its end."""

CALM = 0.8
"""Share of events that are some of those, and no crash."""


def walk(world: World, chance: random.Random) -> Violation | Restless | None:
    """Go through a world at random, letting it come to rest now and then.

    Args:
        world: the world.
        chance: chooses.

    Returns:
        What must not be; None if nothing is wrong.
    """
    state = world.first()
    way: list[str] = []
    for _ in range(PARTS):
        for _ in range(LONG):
            following, event = _choose(world.following(state), chance)
            way.append(event)
            wrong = following if isinstance(following, str) else world.problem(following)
            if wrong is not None or isinstance(following, str):
                return Violation(str(wrong), way)
            state = following
        course = Course(world)
        restless = course.first_restless([state])
        if restless is not None:
            return restless
        state = course.rest
        way.append("it comes to rest")
    return None


def _choose(following: list[tuple[int | str, str]], chance: random.Random) -> tuple[int | str, str]:
    onward = [
        one for one in following
        if " crash " not in one[1] and any(word in one[1] for word in ONWARD)
    ]
    return chance.choice(onward if onward and chance.random() < CALM else following)


def walks(seed: int, until: float) -> tuple[int, int, str]:
    """Walk until a time; gives how many walks, the highest epoch, and what is wrong, if anything is."""
    done, epoch = 0, 1
    while time.monotonic() < until:
        world = World(WIDE)
        for _ in range(200):
            problem = walk(world, random.Random(f"{seed} {done}"))
            done += 1
            epoch = max(epoch, world.highest_epoch)
            if problem is not None:
                return done, epoch, f"walk {done - 1}: {problem}"
            if time.monotonic() >= until:
                break
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
    print(f"{done:,} walks of {PARTS * LONG} events, up to epoch {epoch}, from seed {options.seed} {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
