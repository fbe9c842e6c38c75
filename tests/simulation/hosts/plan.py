"""What a seed means: how many hosts, which jobs, which moves and commands, and which faults when."""

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
    """All of it.

    Attributes:
        hosts: how many.
        jobs: what is submitted.
        weather: of the network, until the horizon.
        happenings: in order, none of them later than the horizon.
        horizon: when all is mended: nobody starts a host again that dies afterwards.
    """

    hosts: int
    jobs: list[JobPlan]
    weather: Weather
    happenings: list[Happening]
    horizon: float


def _items(chance: random.Random, first: int, flow: FlowSpec) -> list[dict[str, Any]]:
    """Draw a job's items: some slow ones, or many quick ones, of which a process is sent several ahead."""
    if flow.id == "timed":
        return [_item(chance, first + place, (0.01, 0.2), "hangs") for place in range(chance.randint(1, 3))]
    if chance.random() < 0.4:
        quick = (0.001, 0.002, 0.004)
        return [_item(chance, first + place, quick) for place in range(chance.randint(5, 9))]
    slow = (0.001, 0.01, 0.2, 0.4, 0.8)
    return [_item(chance, first + place, slow) for place in range(chance.randint(2, 5))]


def _item(chance: random.Random, value: int, paces: tuple[float, ...], bad: str = "dies") -> dict[str, Any]:
    return {
        "value": value,
        "fails": chance.choice((0, 0, 0, 0, 1, 1, 2, 3, 4)),
        "how": bad if chance.random() < 0.2 else "raises",
        "checkpoints": chance.choice((0, 0, 0, 1, 2)),
        "seconds": chance.choice(paces),
        "large": chance.random() < 0.02,
    }


def make_plan(seed: int) -> Plan:
    """Draw a plan. Its chance is its own, so that what runs by it doesn't change it."""
    chance = random.Random(f"plan {seed}")
    hosts = chance.choice((2, 2, 2, 3, 3, 4))
    horizon = chance.uniform(2.0, 6.0)
    jobs: list[JobPlan] = []
    for number in range(chance.choice((1, 1, 2, 3))):
        flow = chance.choice(FLOWS)
        items = _items(chance, 1 + 100 * number, flow)
        name = None if chance.random() < 0.3 else f"job{number}"
        jobs.append(
            JobPlan(flow, items, chance.randrange(hosts), chance.uniform(0.0, 0.5), name)
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
        for job in jobs:
            if chance.random() < 0.2:
                at = job.at + chance.uniform(0.0, 0.02)
                number, down = chance.randint(1, 4), chance.uniform(0.05, 1.0)
                wanted.append(Happening(at, "fuse", job.host, seconds=down, number=number))
    if chance.random() < 0.1:
        at = chance.uniform(0.2, min(horizon, 3.5))
        wanted.append(Happening(at, "drain", chance.randrange(hosts), seconds=chance.choice((2.0, 30.0))))
    wanted.sort(key=lambda happening: happening.at)
    # What strikes in the middle of the last move may come after all this: it is over before all is mended.
    horizon = max([horizon, *(it.at + it.seconds for it in wanted if it.at > horizon)])
    return Plan(hosts, jobs, weather, wanted, horizon)


def make_quick_plan(seed: int) -> Plan:
    """Draw a plan of ordered, quick jobs and no faults at all: what is sent ahead matters most there."""
    chance = random.Random(f"quick plan {seed}")
    ordered = next(flow for flow in FLOWS if flow.id == "ordered")
    jobs: list[JobPlan] = []
    for number in range(2):
        items = [_item(chance, 1 + 100 * number + place, (0.001, 0.003)) for place in range(12)]
        jobs.append(JobPlan(ordered, items, 0, 0.01, f"job{number}"))
    return Plan(2, jobs, Weather(), [], 1.0)


def _strike(chance: random.Random, hosts: int, move: Happening) -> Happening:
    """Draw what strikes one of the hosts of a move in the middle of it."""
    host = move.other if chance.random() < 0.5 else chance.randrange(hosts)
    at = move.at + chance.choice((0.0, 0.0, 0.004, 0.05))
    down = chance.uniform(0.05, 3.0)
    if chance.random() < 0.5:
        return Happening(at, "fuse", host, seconds=down, number=chance.randint(1, 30))
    fate = chance.choice([fate for fate in Fate if fate is not Fate.WHOLE])
    return Happening(at, "disk", host, seconds=down, number=chance.randint(0, 8), fate=fate)


def _spoil(
    chance: random.Random, hosts: int, horizon: float, wanted: list[Happening]
) -> Weather:
    """Draw what goes wrong."""

    def some(most: int) -> range:
        return range(chance.randint(0, most))

    def when() -> float:
        return chance.uniform(0.1, horizon)

    wanted.extend(
        Happening(when(), "crash", chance.randrange(hosts), seconds=chance.uniform(0.1, 3.0))
        for _ in some(2)
    )
    wanted.extend(
        Happening(
            when(), "fuse", chance.randrange(hosts), seconds=chance.uniform(0.1, 3.0),
            number=chance.randint(1, 40),
        )
        for _ in some(3)
    )
    for _ in some(2):
        fate = chance.choice([fate for fate in Fate if fate is not Fate.WHOLE])
        wanted.append(
            Happening(
                when(), "disk", chance.randrange(hosts), seconds=chance.uniform(0.1, 3.0),
                number=chance.randint(0, 12), fate=fate,
            )
        )
    wanted.extend(
        Happening(when(), "full", chance.randrange(hosts), seconds=chance.uniform(0.5, 4.0))
        for _ in some(1)
    )
    for _ in some(2):
        one, other = chance.sample(range(hosts), 2)
        what = chance.choice(("part", "part", "deafen", "break"))
        wanted.append(Happening(when(), what, one, other, seconds=chance.uniform(0.2, 4.0)))
    for _ in some(2):
        jump = chance.choice((-3600.0, -2.0, 0.5, 30.0, 10_000.0))
        wanted.append(Happening(when(), "clock", chance.randrange(hosts), seconds=jump))
    if chance.random() < 0.2:
        wanted.append(Happening(when(), "zygote", chance.randrange(hosts)))
    if chance.random() < 0.15:
        wanted.append(Happening(when(), "code", chance.randrange(hosts), seconds=chance.uniform(0.5, 3.0)))
    moves = [it for it in wanted if it.what == "move"]
    wanted.extend([_strike(chance, hosts, move) for move in moves if chance.random() < 0.4])
    rough = chance.random() < 0.6
    return Weather(
        loss=chance.choice((0.0, 0.01, 0.05, 0.2)) if rough else 0.0,
        again=chance.choice((0.0, 0.05, 0.3)) if rough else 0.0,
        late=chance.choice((0.0, 0.05, 0.3)) if rough else 0.0,
        delay=chance.choice((0.001, 0.01, 0.1)),
    )
