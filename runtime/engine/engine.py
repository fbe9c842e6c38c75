"""The job engine: inputs in, rows to write and things to do out.

``Engine.step`` is the whole interface. Given the same inputs, clock readings and random numbers it does
the same, so that tests drive the shipped code through crashes and time. It never performs I/O, and
what it returns must be on disk before anything of it is acted upon (G1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import assert_never

import msgspec

from sojourn.runtime.engine import settle as outcomes
from sojourn.runtime.engine.book import CLOCK_STEP, Book, Timer
from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.engine.inputs import (
    Adopt,
    AnswerQuestion,
    Block,
    CancelJob,
    Create,
    Drop,
    Fetch,
    Freeze,
    Hold,
    Input,
    Interrupt,
    Lift,
    Now,
    Recover,
    Refill,
    RetryJob,
    Round,
    Settle,
    Thaw,
    Unsend,
)
from sojourn.runtime.engine.load import adopt, fetch, refill
from sojourn.runtime.engine.model import Job, Origins
from sojourn.runtime.flow import INPUT_SLOT
from sojourn.runtime.job import JobHead, JobStatus
from sojourn.runtime.job_table import JobEvent

TIMED_OUT = msgspec.msgpack.encode({"timed_out": True})


class Engine:
    """All unfinished jobs of a host.

    Args:
        origins: ids of (host, epoch, code).
        random: gives uniform numbers in [0, 1), for jitter.
        bounds: how much is kept in memory, and how much may wait.
    """

    def __init__(
        self, origins: Origins, random: Callable[[], float], bounds: Bounds | None = None
    ) -> None:
        self.book = Book(origins, bounds)
        self._random = random
        self._offset: float | None = None
        """Wall clock less monotonic, as of the dues that are on disk."""

    def step(self, inputs: Iterable[Input], now: Now, round_: Round | None = None) -> Round:
        """Let a batch of things happen, and every timer that is due.

        Args:
            inputs: what happened, in order.
            now: both clocks, read once for the round.
            round_: a round that is under way and not yet written, to go on with; None for a new one.

        Returns:
            What must be written, and what to do once it is.
        """
        if round_ is None:
            round_ = Round()
        # Earlier steps concluded what they touched: a round of many small steps must not do it again.
        earlier, round_.touched = round_.touched, set()
        self._mind_the_clock(round_, now)
        self.book.mailboxes.look_at_load()
        for given in inputs:
            self._handle(given, round_, now)
        for timer in self.book.expire(now):
            self._fire(timer, round_, now)
        for row in tuple(round_.touched):
            job = self.book.jobs.get(row)
            if job is not None:
                self._conclude(job, round_, now)
        earlier |= round_.touched
        round_.touched = earlier
        return round_

    def _mind_the_clock(self, round_: Round, now: Now) -> None:
        """Write the dues anew where the wall clock was set: they are kept by it over a restart."""
        offset = now.wall - now.monotonic
        if self._offset is None:
            self._offset = offset
        by = offset - self._offset
        if abs(by) < CLOCK_STEP:
            return
        self._offset = offset
        for job in self.book.jobs.values():
            self.book.count_anew(job, round_, now, by)

    def next_due(self) -> float | None:
        """Give the monotonic time at which ``step`` has something to do by itself."""
        return self.book.next_due()

    def job(self, row: int) -> Job | None:
        """Give a job that is in memory."""
        return self.book.jobs.get(row)

    def _handle(self, given: Input, round_: Round, now: Now) -> None:
        book = self.book
        if isinstance(given, Settle):
            outcomes.settle(book, round_, given, now, self._random)
        elif isinstance(given, Unsend):
            self._unsend(given, round_)
        elif isinstance(given, Create):
            self._create(given, round_, now)
        elif isinstance(given, Adopt):
            adopt(book, round_, given, now)
        elif isinstance(given, Interrupt):
            outcomes.interrupt(book, round_, given, now)
        elif isinstance(given, Recover):
            outcomes.recover(book, round_, given, now)
        elif isinstance(given, Refill):
            refill(book, given)
        elif isinstance(given, Fetch):
            fetch(book, given)
        elif isinstance(given, Drop):
            book.drop(given.row)
            round_.ended.append(given.row)
        else:
            job = book.jobs.get(given.row)
            if job is not None:
                round_.touched.add(given.row)
                self._command(job, given, round_, now)

    def _command(
        self,
        job: Job,
        given: Hold | Lift | AnswerQuestion | CancelJob | RetryJob | Block | Freeze | Thaw,
        round_: Round,
        now: Now,
    ) -> None:
        match given:
            case Hold():
                self._hold(job, round_)
            case Lift():
                self._lift(job, round_, now)
            case AnswerQuestion():
                self._answer(job, given.question, given.data, round_, now)
            case CancelJob():
                self._cancel(job, round_)
            case RetryJob():
                self._retry(job, round_, now)
            case Block():
                outcomes.block(self.book, round_, job, given.reason, now)
            case Freeze():
                job.frozen = True
                job.refresh()
                round_.recalls.add(job.row)
            case Thaw():
                job.frozen = False
                job.refresh()
                self.book.wake_all(job)
            case _:
                assert_never(given)

    def _create(self, given: Create, round_: Round, now: Now) -> None:
        plan = given.plan
        head = JobHead(
            job_id=given.job_id, instance=given.instance, flow_id=plan.spec.id,
            flow_digest=plan.digest, epoch=1, status=JobStatus.QUEUED, created_at=now.wall,
            input=given.input, submission=given.submission, handoffs=[], clock_mark=(now.wall, 1),
            priority=given.priority,
        )
        job = Job(given.row, head, plan)
        job.refresh()
        self.book.jobs[given.row] = job
        self.book.queues.count(job, 1)
        self.book.deliver(job, round_, plan.spec.entry, INPUT_SLOT, given.input)
        self.book.save(job, round_)
        round_.touched.add(job.row)

    def _unsend(self, given: Unsend, round_: Round) -> None:
        book = self.book
        for dispatch in given.dispatches:
            message = book.outstanding.pop(dispatch, None)
            if message is None:
                continue
            book.take_back(message)
            message.actor.put(message)
            book.wake(message.actor)
            round_.touched.add(message.actor.job.row)

    def _hold(self, job: Job, round_: Round) -> None:
        if job.head.held or job.head.status.finished:
            return
        job.head.held = True
        self.book.save(job, round_)
        job.refresh()
        round_.recalls.add(job.row)

    def _lift(self, job: Job, round_: Round, now: Now) -> None:
        job.head.held = False
        if job.head.status is JobStatus.PAUSED:
            self._go_on(job, round_, now)
        else:
            self.book.save(job, round_)
            job.refresh()
            self.book.wake_all(job)

    def _go_on(self, job: Job, round_: Round, now: Now) -> None:
        event = JobEvent.LIFTED if job.began else JobEvent.LIFTED_UNBEGUN
        self.book.move(job, round_, event, now)
        self.book.wake_all(job)

    def _answer(self, job: Job, question: str, data: bytes, round_: Round, now: Now) -> None:
        asked = job.questions.pop(question, None)
        if asked is None:
            return
        round_.writes.questions_deleted.append((job.row, question))
        self.book.deliver(job, round_, asked.routine, asked.slot, data)
        if job.head.status is JobStatus.PAUSED and not job.head.held:
            self._go_on(job, round_, now)

    def _cancel(self, job: Job, round_: Round) -> None:
        if job.head.status.finished:
            return
        job.cancelling = True
        job.refresh()
        self.book.save(job, round_)
        round_.recalls.add(job.row)

    def _retry(self, job: Job, round_: Round, now: Now) -> None:
        if job.head.status is JobStatus.BLOCKED:
            self._go_on(job, round_, now)
            return
        if job.head.status is not JobStatus.FAILED:
            return
        for message in job.messages.values():
            if message.due is None:
                message.retry_count = 0
                message.actor.put(message)
                self.book.change(message, round_, now)
        job.head.error = None
        self.book.move(job, round_, JobEvent.RETRIED, now)
        self.book.wake_all(job)

    def _fire(self, timer: Timer, round_: Round, now: Now) -> None:
        job = self.book.jobs.get(timer.row)
        if job is None:
            return
        if timer.question:
            if timer.question in job.questions:
                round_.touched.add(job.row)
                self._answer(job, timer.question, TIMED_OUT, round_, now)
            return
        message = job.messages.get(timer.message)
        if message is None or message.due != timer.due:
            return
        message.actor.waiting.discard(message.number)
        message.actor.put(message)
        self.book.wake(message.actor)

    def _conclude(self, job: Job, round_: Round, now: Now) -> None:
        """See what the round left of a job: quiet, idle, over?"""
        if job.out == 0:
            if job.cancelling and not job.head.status.finished:
                job.cancelling = False
                job.head.held = False
                self.book.move(job, round_, JobEvent.CANCELLED, now)
            if job.frozen:
                if job.head.held:
                    self._rest(job, round_, now)
                round_.quiet.add(job.row)
                return
            if not job.pending() and not job.questions and not job.head.status.finished:
                self._idle(job, round_, now)
            elif job.head.held:
                self._rest(job, round_, now)
                round_.quiet.add(job.row)
            elif not job.pending() and job.questions and job.runnable:
                first = next(iter(job.questions.values()))
                self.book.move(job, round_, JobEvent.ASKED, now, f"waits for an answer: {first.prompt}")
        if job.head.status.finished and job.out == 0:
            self.book.drop(job.row)
            round_.ended.append(job.row)
            round_.quiet.add(job.row)

    def _rest(self, job: Job, round_: Round, now: Now) -> None:
        """A pause is reached."""
        if job.head.status is not JobStatus.PAUSED or job.head.reason is not None:
            self.book.move(job, round_, JobEvent.HELD, now)

    def _idle(self, job: Job, round_: Round, now: Now) -> None:
        hooks = job.plan.spec.when_idle
        delivered = job.head.hooks_delivered
        if delivered < len(hooks):
            if job.head.held:
                self.book.move(job, round_, JobEvent.HELD, now)
                round_.quiet.add(job.row)
                return
            totals = [sum(count[place] for count in job.counts.values()) for place in range(3)]
            fields = {"succeeded": totals[0], "skipped": totals[2], "failed": totals[1]}
            hook = hooks[delivered]
            job.head.hooks_delivered = delivered + 1
            self.book.deliver(
                job, round_, hook.routine, hook.slot, msgspec.msgpack.encode(fields)
            )
            self.book.save(job, round_)
            return
        job.head.held = False
        if job.head.status is JobStatus.PAUSED:
            self._go_on(job, round_, now)
        self.book.move(job, round_, JobEvent.IDLE, now)
