"""A load of jobs that moves between hosts while ``kill -9`` meets supervisors, zygotes and actor processes.

Choices (which job, where to, who dies, how long after the move began) come from a seed; what they meet
depends on the machine's timing. Each job is judged when it ends (``judging``), and followed by another.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import psutil

from sojourn.runtime.errors import (
    HandoffAborted,
    HandoffInDoubt,
    HostUnable,
    NoSupervisor,
    Refused,
    SojournError,
    UsageError,
)
from tests.integration.hosting import Host, Json, connected
from tests.integration.judging import judge, the_owner, wait_for_owner
from tests.waiting import wait_until

PATIENCE = 90.0
LONGEST_WAIT = 0.12
"""Seconds after the beginning of moves until somebody dies, at most: most moves take less."""

STEPS = 8
"""Checkpoints of one turn of the flow ``long_turns``."""


@dataclass
class Kind:
    """A kind of job: its flow, how many messages it has, and whether they keep their order."""

    flow: str
    n: int
    in_order: bool
    shared: dict[str, int]
    """What the shared map holds in the end."""


KINDS = (
    Kind("load:flaky", 150, False, {"tried": 150}),
    Kind("load:in_order", 90, True, {"tried": 90}),
    Kind("load:side_by_side", 250, False, {"done": 250}),
    Kind("load:long_turns", 16, False, {"steps": 16 * STEPS}),
)
VICTIMS = {
    "nobody": 3, "source": 2, "target": 2, "actor": 3, "zygote": 1,
}
"""Who dies in a step, and how often."""

TITLES = {"actor": re.compile(r"sojourn-actor \S+/work"), "zygote": re.compile("sojourn-zygote")}
"""The processes' titles; the actors of the routine that takes most of the time."""


@dataclass
class Report:
    """What was done and seen."""

    seed: int
    moves: Counter[str] = field(default_factory=Counter[str])
    """How moves ended, as whoever asked was told."""
    kills: Counter[str] = field(default_factory=Counter[str])
    jobs: int = 0
    hand_offs: int = 0
    """Changes of owner, by the epochs of the jobs in the end."""
    messages: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    crashed: int = 0
    """Attempts that failed because their process was killed."""

    def add(self, document: Json) -> None:
        """Count a job that ended."""
        self.jobs += 1
        self.hand_offs += document["epoch"] - 1
        self.messages += len({entry["message"] for entry in document["history"]})
        for entry in document["history"]:
            self.outcomes[entry["outcome"]] += 1
            self.crashed += (entry["error"] or {}).get("type") == "ActorCrashed"

    def __str__(self) -> str:
        def listed(counts: Counter[str]) -> str:
            return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"

        return (
            f"seed {self.seed}: {self.hand_offs} hand-offs (asked for: {listed(self.moves)}); "
            f"kill -9: {listed(self.kills)}; {self.jobs} jobs with {self.messages} messages, attempts: "
            f"{listed(self.outcomes)}, {self.crashed} of the failed ones by a kill"
        )


class Killing:
    """The run.

    Args:
        hosts: that are up and paired, each with each.
        seed: of every choice.
        disturb: makes the network worse or better, if there is one; called now and then.
    """

    def __init__(
        self, hosts: Sequence[Host], seed: int, disturb: Callable[[random.Random], None] | None = None
    ) -> None:
        self.report = Report(seed)
        self._hosts = list(hosts)
        self._random = random.Random(seed)
        self._disturb = disturb
        self._jobs: dict[str, Kind] = {}
        self._made = 0
        self._pool = ThreadPoolExecutor(4)

    def run(self, seconds: float) -> Report:
        """Move and kill for so many seconds, let every job end, and tell.

        Raises:
            AssertionError: if a guarantee was broken.
        """
        try:
            for kind in KINDS:
                self._submit(kind)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                self._step()
            for job in list(self._jobs):
                self._settle(job)
        except (AssertionError, SojournError) as error:
            error.add_note(f"so far: {self.report}")
            raise
        finally:
            self._pool.shutdown()
        return self.report

    def _submit(self, kind: Kind) -> None:
        self._made += 1
        job = f"{kind.flow.partition(':')[2]}-{self._made}"
        self._random.choice(self._hosts).submit(kind.flow, job, n=kind.n)
        self._jobs[job] = kind

    # --- one step -----------------------------------------------------------------------------------

    def _step(self) -> None:
        choose = self._random
        moving: list[Future[str]] = []
        source = target = self._hosts[0]
        for job in choose.sample(sorted(self._jobs), choose.randint(1, 3)):
            source = wait_for_owner(self._hosts, job, PATIENCE)
            target = choose.choice([host for host in self._hosts if host is not source])
            grace = choose.choice((0.0, 0.1, None))
            moving.append(self._pool.submit(move, source, job, target, grace))
        # The moment at which somebody dies is what this run is about: it is drawn, not waited for.
        time.sleep(choose.uniform(0.0, LONGEST_WAIT))
        (victim,) = choose.choices(tuple(VICTIMS), tuple(VICTIMS.values()))
        self._kill(victim, source, target)
        if self._disturb is not None and choose.random() < 0.3:
            self._disturb(choose)
        for host in self._hosts:
            if not host.running:
                host.up()
        for asked in moving:
            self.report.moves[asked.result(PATIENCE)] += 1
        if choose.random() < 0.7:
            wait_until(lambda: all(map(connected, self._hosts)), PATIENCE, "all hosts to be connected")
        for job in list(self._jobs):
            owner = the_owner(self._hosts, job)
            if owner is not None and owner.show(job, history=0)["finished_at"] is not None:
                kind = self._jobs[job]
                self._settle(job)
                self._submit(kind)

    def _kill(self, who: str, source: Host, target: Host) -> None:
        match who:
            case "source" | "target":
                (source if who == "source" else target).kill()
            case "actor" | "zygote":
                host = self._random.choice((source, target))
                if not kill_one_of(TITLES[who], host, self._random):
                    return
            case _:
                return
        self.report.kills[who] += 1

    def _settle(self, job: str) -> None:
        """Let a job end, and judge it."""
        kind = self._jobs.pop(job)
        final = judge(self._hosts, job, PATIENCE)
        got = final["result"]["got"]
        assert (got if kind.in_order else sorted(got)) == list(range(kind.n)), f"{job} collected {got}"
        assert final["result"]["shared"] == kind.shared, f"{job} shared {final['result']['shared']}"
        self.report.add(final)


def move(source: Host, job: str, target: Host, grace: float | None) -> str:
    """Move a job; tell in a word how it ended for whoever asked."""
    try:
        source.migrate(job, target, grace=grace)
    except HandoffAborted:
        return "aborted"
    except HandoffInDoubt:
        return "in doubt"
    except NoSupervisor:
        return "without an answer"
    except (Refused, HostUnable):
        return "refused"
    except UsageError as error:
        if "already" not in error.message:  # a command that wasn't answered brought it there meanwhile
            raise
        return "refused"
    return "done"


def kill_one_of(title: re.Pattern[str], host: Host, choose: random.Random) -> bool:
    """Kill one of a host's processes whose title begins so; tell whether there was one."""
    try:
        found = [process for process in host.processes() if title.match(" ".join(process.cmdline()))]
        if not found:
            return False
        choose.choice(found).kill()
    except psutil.NoSuchProcess:
        return False
    return True
