"""What a seed means: how many hosts, which jobs, which moves and commands, and which faults at which times."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from sojourn.runtime.flow import FlowSpec
from tests.simulation.hosts.disk import Fate
from tests.simulation.hosts.flows import FLOWS
from tests.simulation.hosts.network import Weather


class JobPlan(msgspec.Struct):
    """One job: what is submitted, where and when."""

    flow: FlowSpec
    items: list[dict[str, Any]]
    host: int
    at: float
    job_id: str | None


class Happening(msgspec.Struct):
    """Something that is done at a time.

    Attributes:
        at: virtual seconds.
        what: see ``world``.
        host: number of the host concerned.
        other: number of another.
        job: number of the job concerned.
        seconds: how long it lasts, or by how much a clock jumps.
        number: how many moments later.
        fate: of a commit.
    """

    at: float
    what: str
    host: int = 0
    other: int = 0
    job: int = 0
    seconds: float = 0.0
    number: int = 0
    fate: Fate = Fate.WHOLE


class Plan(msgspec.Struct):
    """All of it."""

    hosts: int
    jobs: list[JobPlan]
    weather: Weather
    happenings: list[Happening]
    horizon: float


def _item(chance: random.Random, value: int) -> dict[str, Any]:
    return {
        "value": value,
        "fails": chance.choice((0, 0, 0, 0, 1, 1, 2, 3, 4)),
        "dies": chance.random() < 0.2,
        "checkpoints": chance.choice((0, 0, 0, 1, 2)),
        "seconds": chance.choice((0.001, 0.01, 0.2, 0.4, 0.8)),
        "large": chance.random() < 0.02,
    }


def make_plan(seed: int) -> Plan:
    """Draw a plan. Its chance is its own, so that what runs by it doesn't change it."""
    chance = random.Random(f"plan {seed}")
    hosts = chance.choice((2, 2, 2, 3, 3, 4))
    horizon = chance.uniform(2.0, 6.0)
    jobs: list[JobPlan] = []
    for number in range(chance.choice((1, 1, 2, 3))):
        first = 1 + 100 * number
        items = [_item(chance, first + place) for place in range(chance.randint(2, 6))]
        name = None if chance.random() < 0.3 else f"job{number}"
        jobs.append(
            JobPlan(
                chance.choice(FLOWS), items, chance.randrange(hosts), chance.uniform(0.0, 0.5), name
            )
        )
    wanted = [
        Happening(
            chance.uniform(0.2, min(horizon, 3.5)), "move", other=chance.randrange(hosts),
            job=chance.randrange(len(jobs)), seconds=chance.choice((0.0, 0.3, 10.0)),
        )
        for _ in range(chance.randint(1, 5))
    ]
    if chance.random() < 0.3:
        wanted.append(
            Happening(chance.uniform(0.2, horizon), "pause", job=chance.randrange(len(jobs)))
        )
    if chance.random() < 0.15:
        wanted.append(
            Happening(chance.uniform(0.2, horizon), "cancel", job=chance.randrange(len(jobs)))
        )
    weather = Weather()
    if chance.random() < 0.8:
        weather = _spoil(chance, hosts, horizon, wanted)
    wanted.sort(key=lambda happening: happening.at)
    return Plan(hosts, jobs, weather, wanted, horizon)


def _spoil(
    chance: random.Random, hosts: int, horizon: float, wanted: list[Happening]
) -> Weather:
    """Draw what goes wrong."""

    def some(most: int) -> range:
        return range(chance.randint(0, most))

    def when() -> float:
        return chance.uniform(0.1, horizon)

    for _ in some(2):
        wanted.append(Happening(when(), "crash", chance.randrange(hosts), seconds=chance.uniform(0.1, 3.0)))
    for _ in some(3):
        wanted.append(
            Happening(
                when(), "fuse", chance.randrange(hosts), seconds=chance.uniform(0.1, 3.0),
                number=chance.randint(1, 40),
            )
        )
    for _ in some(2):
        fate = chance.choice([fate for fate in Fate if fate is not Fate.WHOLE])
        wanted.append(
            Happening(
                when(), "disk", chance.randrange(hosts), seconds=chance.uniform(0.1, 3.0),
                number=chance.randint(0, 12), fate=fate,
            )
        )
    for _ in some(1):
        wanted.append(Happening(when(), "full", chance.randrange(hosts), seconds=chance.uniform(0.5, 4.0)))
    for _ in some(2):
        one, other = chance.sample(range(hosts), 2)
        what = chance.choice(("part", "part", "deafen", "break"))
        wanted.append(Happening(when(), what, one, other, seconds=chance.uniform(0.2, 4.0)))
    for _ in some(2):
        jump = chance.choice((-3600.0, -2.0, 0.5, 30.0, 86_400.0))
        wanted.append(Happening(when(), "clock", chance.randrange(hosts), seconds=jump))
    if chance.random() < 0.2:
        wanted.append(Happening(when(), "zygote", chance.randrange(hosts)))
    if chance.random() < 0.15:
        wanted.append(Happening(when(), "code", chance.randrange(hosts), seconds=chance.uniform(0.5, 3.0)))
    rough = chance.random() < 0.6
    return Weather(
        loss=chance.choice((0.0, 0.01, 0.05, 0.2)) if rough else 0.0,
        again=chance.choice((0.0, 0.05, 0.3)) if rough else 0.0,
        late=chance.choice((0.0, 0.05, 0.3)) if rough else 0.0,
        delay=chance.choice((0.001, 0.01, 0.1)),
    )
