"""Jobs as the engine holds them in memory: messages, actors, the plan of a flow.

Knows how these hang together and how an actor's mailbox is ordered (G8); decides nothing about
attempts, statuses or retries.
"""

from __future__ import annotations

from heapq import heappop, heappush

import msgspec

from sojourn.runtime.engine.cycles import feeders
from sojourn.runtime.flow import FlowSpec, HandlerSpec, RoutineSpec
from sojourn.runtime.job import JobHead, JobStatus, Origin, QuestionRow
from sojourn.runtime.wire.actor import JobContext

QUEUED = JobStatus.QUEUED
RUNNABLE = (QUEUED, JobStatus.RUNNING)
"""Statuses in which messages are handed out."""

SHARED_LOG_LIMIT = 1024
"""Changes of a shared map that are remembered to send differences instead of the whole."""


Routes = dict[str, list[tuple[str, str]]]
"""event of one routine → (routine, slot) of everything that it feeds."""


class FlowPlan:
    """A flow, prepared for running: who feeds and who holds whom, and which error handler is in force.

    Args:
        digest: digest of the flow.
        spec: the flow.
    """

    __slots__ = ("digest", "feeders", "handlers", "routes", "routines", "spec")

    def __init__(self, digest: str, spec: FlowSpec) -> None:
        self.digest = digest
        self.spec = spec
        self.routines: dict[str, RoutineSpec] = {routine.id: routine for routine in spec.routines}
        self.handlers: dict[str, HandlerSpec] = {
            routine.id: spec.handler_for(routine) for routine in spec.routines
        }
        self.routes: dict[str, Routes] = {routine.id: {} for routine in spec.routines}
        """routine → where its events go."""
        for link in spec.connections:
            targets = self.routes.setdefault(link.source, {}).setdefault(link.event, [])
            targets.append((link.target, link.slot))
        self.feeders = feeders(spec)
        """Routine → those that wait while its mailbox is full."""


class Message(msgspec.Struct, eq=False, gc=False):
    """A pending message.

    Attributes:
        number: its number in the job.
        actor: whose it is.
        slot: slot that it is for.
        data: encoded fields.
        attempts: attempts that failed so far.
        retry_count: retries granted so far.
        due: monotonic seconds at which it may run; 0.0 for at once, None for never (until ``retry``).
        progress: encoded progress, None while empty.
        dispatch: id under which it is out at a process; 0 while it is here.
    """

    number: int
    actor: Actor
    slot: str
    data: bytes
    attempts: int = 0
    retry_count: int = 0
    due: float | None = 0.0
    progress: bytes | None = None
    dispatch: int = 0


class Actor:
    """One routine of one job: committed attributes and a mailbox.

    Of a long mailbox only the begin is in memory. The rest, messages that were never tried, is on disk
    alone: ``stored`` of them, of ``stored_bytes`` of data, numbered ``stored_from`` and up.
    """

    __slots__ = (
        "attributes", "full", "gives_back", "handler", "held_by", "home", "job", "listed", "messages_out",
        "ready", "routes", "routine", "since", "spec", "stored", "stored_bytes", "stored_from", "tried",
        "waiting",
    )

    def __init__(self, job: Job, spec: RoutineSpec, handler: HandlerSpec) -> None:
        self.job = job
        self.spec = spec
        self.routine = spec.id
        self.handler = handler
        self.routes = job.plan.routes[spec.id]
        self.attributes: dict[str, bytes] = {}
        self.ready: list[int] = []
        """Heap of the numbers of messages that may run."""
        self.waiting: set[int] = set()
        """Numbers of messages that wait for their retry."""
        self.tried: set[int] = set()
        """Numbers of pending messages that failed before: few, whatever the mailbox holds."""
        self.stored = 0
        self.stored_from = 0
        self.stored_bytes = 0
        self.full = False
        """Whether it holds back what feeds it."""
        self.held_by = 0
        """How many full mailboxes hold it back."""
        self.since = 0
        """When it was put into the queue of its pool, as a number that rises."""
        self.messages_out = 0
        """How many of its messages are out at processes."""
        self.home: str | None = None
        """Process that holds its committed attributes; None if none does."""
        self.gives_back = False
        """Whether those that are out come back unbegun: it is ordered, and one before them failed."""
        self.listed = False
        """Whether the dispatcher has it in a queue."""

    @property
    def pool(self) -> tuple[str, str]:
        """Which processes can run it: (flow digest, routine)."""
        return self.job.plan.digest, self.routine

    def has_work(self) -> bool:
        """Tell whether a message may be handed out now."""
        if not self.ready or not self.job.runnable or self.held_by or self.gives_back:
            return False
        if self.stored and self.ready[0] >= self.stored_from:
            return False  # an older one is still on disk (G8)
        if self.spec.ordered and not self.spec.parallel and self.waiting:
            return self.ready[0] < min(self.waiting)
        return True

    def queued(self) -> int:
        """Count its messages that haven't ended, those aside that wait for ``retry``."""
        return len(self.ready) + len(self.waiting) + self.messages_out + self.stored

    def pending(self) -> int:
        """Count all of its messages that haven't ended."""
        return self.queued() + sum(1 for number in self.tried if self.job.messages[number].due is None)

    def wants(self, low: int) -> bool:
        """Tell whether messages should be read back from the store."""
        return self.stored > 0 and (len(self.ready) <= low or self.ready[0] >= self.stored_from)

    def take(self) -> Message:
        """Take the oldest ready message out of the mailbox; it stays in the job."""
        return self.job.messages[heappop(self.ready)]

    def put(self, message: Message) -> None:
        """Make a message ready."""
        message.due = 0.0
        heappush(self.ready, message.number)


class Job:
    """An unfinished job, or one whose last turns are still in flight."""

    __slots__ = (
        "actors", "began", "cancelling", "counts", "frozen", "head", "last_ended", "messages",
        "next_message", "next_sequence", "out", "plan", "questions", "row", "runnable", "shared",
        "shared_floor", "shared_log", "shared_version", "stored",
    )

    def __init__(self, row: int, head: JobHead, plan: FlowPlan) -> None:
        self.row = row
        self.head = head
        self.plan = plan
        self.messages: dict[int, Message] = {}
        """Those in memory."""
        self.stored = 0
        """How many more are on disk alone."""
        self.actors: dict[str, Actor] = {}
        self.questions: dict[str, QuestionRow] = {}
        self.counts: dict[str, list[int]] = {}
        """routine → [succeeded, failed, skipped, retry count of the message that ended last]."""
        self.next_message = head.next_message
        self.next_sequence = head.next_sequence
        self.out = 0
        """Messages that are out at processes."""
        self.began = head.status is not QUEUED
        self.frozen = False
        self.cancelling = head.cancelling
        self.runnable = False
        self.last_ended = 0.0
        """Monotonic seconds at which the last attempt's outcome arrived."""
        self.shared: dict[str, bytes] = {}
        self.shared_version = 0
        self.shared_log: list[tuple[int, str]] = []
        self.shared_floor = 0

    def actor(self, routine: str) -> Actor:
        """Give the actor of a routine, made at first use."""
        found = self.actors.get(routine)
        if found is None:
            found = Actor(self, self.plan.routines[routine], self.plan.handlers[routine])
            for other in self.actors.values():
                if other.full and routine in self.plan.feeders[other.routine]:
                    found.held_by += 1
            self.actors[routine] = found
        return found

    def pending(self) -> int:
        """Count its messages that haven't ended."""
        return len(self.messages) + self.stored

    def count(self, routine: str) -> list[int]:
        """Give the counters of a routine."""
        found = self.counts.get(routine)
        if found is None:
            found = self.counts[routine] = [0, 0, 0, 0]
        return found

    def refresh(self) -> None:
        """Work out again whether its messages may be handed out."""
        self.runnable = (
            self.head.status in RUNNABLE
            and not self.head.held
            and not self.frozen
            and not self.cancelling
        )

    def note_shared(self, key: str, value: bytes | None) -> None:
        """Apply one committed change of the shared map and remember it for differences."""
        if value is None:
            self.shared.pop(key, None)
        else:
            self.shared[key] = value
        self.shared_version += 1
        self.shared_log.append((self.shared_version, key))
        if len(self.shared_log) > SHARED_LOG_LIMIT:
            half = SHARED_LOG_LIMIT // 2
            self.shared_floor = self.shared_log[half - 1][0]
            del self.shared_log[:half]

    def context(self, actor: Actor, seen: int | None, *, attributes: bool) -> JobContext | None:
        """Give what a process must be told before turns of an actor.

        Args:
            actor: whose turns follow.
            seen: version of the shared map that the process has; None if it has none.
            attributes: whether it needs the actor's committed attributes.

        Returns:
            The context, or None where the process knows everything already.
        """
        shared: dict[str, bytes | None] = {}
        whole = seen is None or seen < self.shared_floor
        if whole:
            shared.update(self.shared)
        elif seen is not None and seen < self.shared_version:
            for version, key in reversed(self.shared_log):
                if version <= seen:
                    break
                shared[key] = self.shared.get(key)
        elif not attributes:
            return None
        return JobContext(
            job=self.row,
            job_id=self.head.job_id,
            instance=self.head.instance,
            epoch=self.head.epoch,
            attributes=dict(actor.attributes) if attributes else None,
            shared=shared,
            shared_whole=whole,
        )


OriginKey = tuple[int, str]
"""(epoch, code fingerprint)."""


class Origins:
    """Ids of (host, epoch, code), so that a history row holds one small number.

    Args:
        host: name of this host.
        known: origins that the store has.
    """

    def __init__(self, host: str, known: dict[int, Origin]) -> None:
        self.host = host
        self._next = max(known, default=0) + 1
        self._ids = {origin: number for number, origin in known.items()}
        self._origins = dict(known)
        self._mine: dict[OriginKey, int] = {
            (origin.epoch, origin.code): number
            for number, origin in known.items()
            if origin.host == host
        }

    def origin(self, number: int) -> Origin:
        """Give the origin that an id stands for."""
        return self._origins[number]

    def intern(self, origin: Origin, fresh: dict[int, Origin]) -> int:
        """Give the id of any host's origin; a new one is put into ``fresh``."""
        number = self._ids.get(origin)
        if number is None:
            number = self._ids[origin] = self._next
            self._origins[number] = origin
            self._next += 1
            fresh[number] = origin
            if origin.host == self.host:
                self._mine[(origin.epoch, origin.code)] = number
        return number

    def here(self, epoch: int, code: str, fresh: dict[int, Origin]) -> int:
        """Give the id of an attempt of this host."""
        number = self._mine.get((epoch, code))
        if number is None:
            number = self.intern(Origin(self.host, epoch, code), fresh)
        return number
