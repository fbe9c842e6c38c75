"""The engine's memory: jobs, what is out at processes, timers, and the moves that keep them in step.

Each function here changes memory and the round's writes together, so that one can't be forgotten.
Decides nothing.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

import msgspec

from sojourn.runtime.engine.bounds import MESSAGE_BYTES, Bounds
from sojourn.runtime.engine.inputs import Now, Round, StatusChange
from sojourn.runtime.engine.mailboxes import Mailboxes
from sojourn.runtime.engine.model import Actor, Job, Message, Origins
from sojourn.runtime.engine.queues import Queues
from sojourn.runtime.job import JobStatus, history_row, message_row
from sojourn.runtime.job_table import JobEvent, next_status
from sojourn.runtime.wire.decoding import FrameDecoder

CLOCK_STEP = 1.0
"""Seconds by which the wall clock must have been set for dues to be written anew."""

FINISHING = {
    JobEvent.IDLE: "completed",
    JobEvent.STOPPED: "failed",
    JobEvent.CANCELLED: "cancelled",
}

_FIELDS = FrameDecoder(msgspec.msgpack.Decoder(dict[str, msgspec.Raw]))


class Timer(NamedTuple):
    """Something due: a message's retry, or a question's end."""

    due: float
    row: int
    message: int
    question: str


class Book:
    """Everything the engine remembers.

    Args:
        origins: ids of (host, epoch, code).
        bounds: how much is kept in memory, and how much may wait.
    """

    def __init__(self, origins: Origins, bounds: Bounds | None = None) -> None:
        self.origins = origins
        bounds = bounds or Bounds()
        self.mailboxes = Mailboxes(bounds)
        self.queues = Queues(bounds)
        self.jobs: dict[int, Job] = {}
        self.outstanding: dict[int, Message] = {}
        """dispatch id → message that is out at a process."""
        self.timers: list[Timer] = []
        self.woken: list[Actor] = []
        """Actors that got work since the dispatcher looked last."""

    def wake(self, actor: Actor) -> None:
        """Tell the dispatcher of an actor that may have work."""
        if not actor.listed:
            actor.listed = True
            self.woken.append(actor)

    def wake_all(self, job: Job) -> None:
        """Tell the dispatcher of every actor of a job that has work."""
        for actor in job.actors.values():
            self.mailboxes.ask_for_more(actor)
            if actor.has_work():
                self.wake(actor)

    def deliver(self, job: Job, round_: Round, routine: str, slot: str, data: bytes) -> None:
        """Make a new message and put it into its actor's mailbox, in memory if there is room."""
        number = job.next_message
        job.next_message = number + 1
        actor = job.actors.get(routine) or job.actor(routine)
        round_.writes.messages_put.append(
            message_row((job.row, number, routine, slot, data, 0, 0, 0.0, None))
        )
        boxes = self.mailboxes
        if actor.stored or len(actor.ready) >= boxes.room:
            boxes.leave(actor, number, 1, len(data))
        else:
            # ``Mailboxes.keep`` without its calls: every emission comes by here
            job.messages[number] = Message(number, actor, slot, data)
            heappush(actor.ready, number)
            boxes.load += MESSAGE_BYTES + len(data)
        if not actor.listed and job.runnable:
            actor.listed = True
            self.woken.append(actor)

    def describe(self) -> dict[str, int]:
        """Say how many messages are pending, how many of them in memory, and how many mailboxes full."""
        jobs = self.jobs.values()
        return {
            "pending": sum(job.pending() for job in jobs),
            "in_memory": sum(len(job.messages) for job in jobs),
            "full_mailboxes": sum(actor.full for job in jobs for actor in job.actors.values()),
        }

    def emit(self, actor: Actor, round_: Round, event: str, data: bytes) -> None:
        """Deliver an emission to every slot that its event feeds."""
        for target, slot in actor.routes.get(event, ()):
            self.deliver(actor.job, round_, target, slot, data)

    def take_back(self, message: Message) -> None:
        """Book a message in that was out at a process."""
        message.dispatch = 0
        actor = message.actor
        actor.messages_out -= 1
        actor.job.out -= 1
        if actor.gives_back and actor.messages_out == 0:
            actor.gives_back = False
            self.wake(actor)

    def record(
        self, message: Message, round_: Round, outcome: int, final: int, origin: int,
        started: float, ended: float, error: bytes | None,
    ) -> None:
        """Write one attempt into the history."""
        actor = message.actor
        job = actor.job
        sequence = job.next_sequence
        job.next_sequence = sequence + 1
        round_.writes.history.append(
            history_row((
                job.row, sequence, message.number, actor.routine, message.slot,
                message.attempts + 1, outcome, final, message.retry_count, origin,
                started, ended, error,
            ))
        )

    def consume(self, message: Message, round_: Round) -> None:
        """End a message."""
        actor = message.actor
        job = actor.job
        if message.attempts:
            actor.tried.discard(message.number)
        del job.messages[message.number]
        round_.writes.messages_deleted.append((job.row, message.number))
        boxes = self.mailboxes
        boxes.load -= MESSAGE_BYTES + len(message.data)
        if actor.full and actor.queued() <= boxes.bounds.low():
            for feeder in boxes.has_room_again(actor):
                self.wake(feeder)

    def change(self, message: Message, round_: Round, now: Now) -> None:
        """Write a message's counters, due time and progress."""
        due = message.due
        if due:
            due = now.wall + (due - now.monotonic)
        round_.writes.messages_changed.append(
            (message.attempts, message.retry_count, due, message.progress,
             message.actor.job.row, message.number)
        )

    def count_anew(self, job: Job, round_: Round, now: Now, by: float) -> None:
        """Write a job's dues by a wall clock that was set by so many seconds."""
        # Those that are tried again already, too: on disk they still wait.
        waiting = [number for actor in job.actors.values() for number in sorted(actor.tried)]
        asked = [question for question in job.questions.values() if question.due is not None]
        for number in waiting:
            self.change(job.messages[number], round_, now)
        for question in asked:
            moved = question._replace(due=max(0.0, (question.due or 0.0) + by))
            job.questions[question.question] = moved
            round_.writes.questions_put.append(moved)
        if waiting or asked:
            job.head.clock_mark = (now.wall, job.next_sequence)
            self.save(job, round_)

    def wait(self, message: Message, due: float) -> None:
        """Let a message wait for its retry until ``due`` (monotonic seconds)."""
        message.due = due
        message.actor.waiting.add(message.number)
        self.mailboxes.take_stock(message.actor)
        heappush(self.timers, Timer(due, message.actor.job.row, message.number, ""))

    def ask(self, job: Job, question: str, due: float) -> None:
        """Arm the end of a question."""
        heappush(self.timers, Timer(due, job.row, 0, question))

    def next_due(self) -> float | None:
        """Give the monotonic time of the next timer."""
        return self.timers[0].due if self.timers else None

    def expire(self, now: Now) -> list[Timer]:
        """Take out every timer that is due."""
        due: list[Timer] = []
        while self.timers and self.timers[0].due <= now.monotonic:
            due.append(heappop(self.timers))
        return due

    def move(
        self, job: Job, round_: Round, event: JobEvent, now: Now, reason: str | None = None
    ) -> bool:
        """Take a job along the table and write its head.

        Returns:
            False where the table has no such transition: then nothing changed.
        """
        before = job.head.status
        after = next_status(before, event)
        if after is None:
            return False
        job.head.status = after
        job.head.reason = reason
        if event in FINISHING:
            job.head.finished_at = now.wall
        elif event is JobEvent.RETRIED:
            job.head.finished_at = None
        self.save(job, round_)
        job.refresh()
        if (before is JobStatus.QUEUED) is not (after is JobStatus.QUEUED):
            self.queues.count(job, 1 if after is JobStatus.QUEUED else -1)
        if after is not before:
            round_.changes.append(StatusChange(job.row, job.head.job_id, reason, before, after))
        return True

    def save(self, job: Job, round_: Round) -> None:
        """Write a job's head."""
        job.head.next_message = job.next_message
        job.head.next_sequence = job.next_sequence
        job.head.cancelling = job.cancelling
        round_.writes.heads[job.row] = job.head

    def drop(self, row: int) -> None:
        """Forget a job; results of what is still out will be stale."""
        job = self.jobs.pop(row, None)
        if job is None:
            return
        if job.head.status is JobStatus.QUEUED:
            self.queues.count(job, -1)
        for message in job.messages.values():
            if message.dispatch:
                self.outstanding.pop(message.dispatch, None)
        job.runnable = False
        self.mailboxes.drop(job)


def merge_fields(old: bytes | None, new: bytes) -> bytes:
    """Put the fields of one encoded map over those of another. What is no such map has no fields."""
    return msgspec.msgpack.encode({**_fields(old or b""), **_fields(new)})


def _fields(data: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _FIELDS.decode(data)
    except msgspec.DecodeError:
        return {}
