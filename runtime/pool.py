"""The processes of one routine and the actors that wait for them: windows, turns, shares, priorities.

Who is next among jobs: the highest priority that waits gets seven of eight messages, and of every eight one
goes to whoever has waited longest, so that nobody waits for ever. Equal ones take turns. No job fills a
process that others need, too. Hands out nothing itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from sojourn.runtime.engine.model import Actor, Message
from sojourn.runtime.progress_page import RING
from sojourn.runtime.wire.actor import Ending, Result

HORIZON = 0.02
"""Seconds of work that a process is sent ahead."""

LARGEST_WINDOW = min(512, RING // 2)
SMOOTHING = 0.3
"""Weight of the newest batch in the average turn time."""

PASSES = 7
"""Messages of a higher priority for one of whoever waited longest."""

SHARED_FOR = 1.0
"""Seconds after another job was seen during which no job fills more than a part of a process's window."""

PARTS = 4
"""That part: one of so many. What comes next from the other job waits behind that much, not behind all."""

PoolKey = tuple[str, str]
"""(flow digest, routine)."""


class Worker:
    """One actor process, as far as handing out goes.

    Args:
        name: its name.
        pool: whose routine it runs.
        code: code fingerprint that it runs.
    """

    __slots__ = (
        "acknowledged", "average", "busy_since", "code", "name", "outstanding", "pool",
        "recalling", "seen", "stopping", "window",
    )

    def __init__(self, name: str, pool: PoolKey, code: str) -> None:
        self.name = name
        self.pool = pool
        self.code = code
        self.window = 1
        self.average = HORIZON
        self.outstanding: dict[int, Message] = {}
        self.seen: dict[int, int] = {}
        """job row → version of its shared map that the process has."""
        self.acknowledged = 0
        self.busy_since = 0.0
        self.recalling = 0
        """Recalls that it hasn't answered."""
        self.stopping = False

    def room(self, now: float) -> int:
        """How many more messages it may be sent (``now``: monotonic seconds)."""
        if self.stopping or self.recalling:
            return 0
        window = self.window
        if self.outstanding and now - self.busy_since > HORIZON:
            window = 1
        return window - len(self.outstanding)

    def learn(self, results: Iterable[Result], now: float) -> None:
        """Adapt the window to a batch of results."""
        spent = 0.0
        turns = 0
        checkpoint = Ending.CHECKPOINT  # which takes long to look up
        for result in results:
            if result.ending is checkpoint:
                continue
            spent += max(0.0, result.ended - result.started)
            turns += 1
        self.busy_since = now
        if turns == 0:
            return
        self.average += SMOOTHING * (spent / turns - self.average)
        fits = int(HORIZON / max(self.average, 1e-9))
        self.window = max(1, min(fits, self.window * 2, LARGEST_WINDOW))

    def holds(self, row: int) -> bool:
        """Tell whether it has messages of a job."""
        return any(message.actor.job.row == row for message in self.outstanding.values())


class Pool:
    """The processes of one routine of one flow, and the actors that have work for them."""

    __slots__ = (
        "by_age", "key", "last", "length", "lines", "mixed", "parallel", "parts", "passed", "processes",
        "shared_until", "ticket", "workers",
    )

    def __init__(self, key: PoolKey, processes: int, parallel: bool) -> None:
        self.key = key
        self.processes = processes
        self.parallel = parallel
        self.workers: dict[str, Worker] = {}
        self.lines: dict[int, deque[Actor]] = {}
        """Priority → the actors that wait, by when they came. None is empty."""
        self.length = 0
        """How many wait."""
        self.ticket = 0
        self.passed = 0
        """Messages handed out past lower priorities, for which those haven't had theirs."""
        self.by_age = False
        """Whether the one taken out last was so because it had waited longest."""
        self.mixed = False
        """Whether several priorities wait."""
        self.parts: dict[int, tuple[int, int]] = {}
        """Priority → by how much all windows, and each, are divided at least among its jobs."""
        self.last: Actor | None = None
        self.shared_until: dict[int, float] = {}
        """Priority → until when it counts that there were two jobs of at least that one."""

    def wanted(self) -> int:
        """How many processes it could use now."""
        if not self.length or len(self.workers) >= self.processes:
            return len(self.workers)
        wanted = sum(1 for worker in self.workers.values() if worker.outstanding)
        for line in self.lines.values():
            for actor in line:
                if wanted >= self.processes:
                    break
                if not actor.has_work():
                    continue
                if self.parallel:
                    wanted += len(actor.ready)
                elif actor.messages_out == 0:
                    wanted += 1
        return min(self.processes, max(wanted, len(self.workers)))

    def has_idle(self, now: float) -> bool:
        """Tell whether one of several processes has nothing to do."""
        return len(self.workers) > 1 and any(
            not worker.outstanding and worker.room(now) > 0 for worker in self.workers.values()
        )

    # --- the order of those who wait ------------------------------------------------------------------

    def add(self, actor: Actor) -> None:
        """Put an actor behind all others of its priority."""
        self.ticket += 1
        actor.since = self.ticket
        self._line(actor).append(actor)
        self.length += 1

    def put_back(self, actors: list[Actor]) -> None:
        """Put actors where they were: they got nothing."""
        for actor in reversed(actors):
            self._line(actor).appendleft(actor)
        self.length += len(actors)

    def _line(self, actor: Actor) -> deque[Actor]:
        priority = actor.job.head.priority
        line = self.lines.get(priority)
        if line is None:
            line = self.lines[priority] = deque()
        return line

    def next(self) -> Actor:
        """Take out the one that is next."""
        lines = self.lines
        if len(lines) == 1:
            self.by_age = False
            priority = next(iter(lines))
        else:
            self.by_age = self.passed >= PASSES
            priority = self._eldest() if self.by_age else max(lines)
        line = lines[priority]
        actor = line.popleft()
        if not line:
            del lines[priority]
        self.length -= 1
        return actor

    def _eldest(self) -> int:
        """Give the priority of the one that has waited longest."""
        return min(self.lines, key=lambda priority: self.lines[priority][0].since)

    def prune(self) -> None:
        """Take out actors that have nothing to run, so that no process is wanted for them."""
        waiting = [actor for line in self.lines.values() for actor in line]
        self.lines.clear()
        self.length = 0
        for actor in waiting:
            if actor.has_work():
                self._line(actor).append(actor)
                self.length += 1
            else:
                actor.listed = False

    # --- how much each gets ---------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """Work out what those who wait may have, before each is served once.

        Lower priorities take nothing from higher ones: they have what ``PASSES`` leaves them.
        """
        self.mixed = len(self.lines) > 1
        if not self.mixed:
            self.passed = 0
        rivals = 0
        self.parts.clear()
        for priority in sorted(self.lines, reverse=True):
            rivals += len(self.lines[priority])
            shared = any(at >= priority and now < until for at, until in self.shared_until.items())
            self.parts[priority] = (rivals, PARTS if shared else 1)

    def share(self, actor: Actor, worker: Worker, room: int) -> int:
        """Give how many messages an actor, just taken out, may have handed to a process with room."""
        share = min(room, self.left(actor, worker))
        if self.parallel:
            share = min(share, -(-len(actor.ready) // len(self.workers)))
        if self.by_age:
            share = min(share, self.passed // PASSES)
        return share

    def left(self, actor: Actor, worker: Worker) -> int:
        """Give how many more messages an actor may have out: its part of the windows, less what it has."""
        rivals, parts = self.parts[actor.job.head.priority]
        if self.parallel:
            windows = [worker.window for worker in self.workers.values()]
            limit = min(-(-sum(windows) // rivals), sum(-(-window // parts) for window in windows))
        else:
            limit = -(-worker.window // (max(parts, rivals)))
        return limit - actor.messages_out

    def served(self, actor: Actor, taken: int, now: float) -> None:
        """Note that an actor, just taken out, got messages."""
        last, self.last = self.last, actor
        if actor is not last and last is not None:
            own, other = actor.job.head.priority, last.job.head.priority
            self.shared_until[min(other, own)] = now + SHARED_FOR
        if self.by_age:
            self.passed = max(0, self.passed - PASSES * taken)
        elif self.mixed and any(priority < actor.job.head.priority for priority in self.lines):
            self.passed = min(self.passed + taken, PASSES * LARGEST_WINDOW)
