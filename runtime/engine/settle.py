"""What follows from an attempt's outcome: the hot path, and the only place that charges attempts.

Success, failure, checkpoint, yield and interruption of one attempt become the writes of one round
(G2); counting attempts and retries happens here and nowhere else (G4, G7).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sojourn.runtime.engine.book import Book, merge_fields
from sojourn.runtime.engine.inputs import Checkpointed, Interrupt, Now, Recover, Round, Settle
from sojourn.runtime.engine.model import Job, Message
from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.flow import FAILED_EVENT
from sojourn.runtime.job import BlobRow, JobError, JobStatus, Outcome, QuestionRow
from sojourn.runtime.job_table import JobEvent
from sojourn.runtime.retry import Verdict, decide
from sojourn.runtime.shared import merge
from sojourn.runtime.wire.actor import Ending, Result, SharedKind, TurnError

# Looking a member up takes a fifth of a microsecond: not for every result.
_SUCCEEDED, _FAILED, _CHECKPOINT = Ending.SUCCEEDED, Ending.FAILED, Ending.CHECKPOINT
SUCCEEDED, INTERRUPTED = int(Outcome.SUCCEEDED), int(Outcome.INTERRUPTED)
"""As rows hold them."""

EMPTY_PROGRESS = b"\x80"
_FINAL = {Verdict.CONTINUE: Outcome.FAILED, Verdict.SKIP: Outcome.SKIPPED}


def settle(
    book: Book, round_: Round, given: Settle, now: Now, random: Callable[[], float]
) -> None:
    """Apply a batch of results, in order. One of a message that isn't out any more changes nothing (G5)."""
    outstanding = book.outstanding
    job: Job | None = None
    origin = 0
    for result in given.results:
        message = outstanding.get(result.dispatch)
        if message is None:
            continue
        ending = result.ending
        if ending is _CHECKPOINT:
            _checkpoint(book, round_, message, result, now)
            continue
        del outstanding[result.dispatch]
        book.take_back(message)
        if message.actor.job is not job:
            job = message.actor.job
            origin = _attempted(book, round_, job, given.code, now)
        if ending is _SUCCEEDED:
            _succeed(book, round_, message, result, origin, now)
        elif ending is _FAILED:
            _expect_the_rest(message)
            _fail(book, round_, message, result, origin, now, random)
        else:
            _expect_the_rest(message)
            _interrupted(book, round_, message, origin, result.started, result.ended)
            if ending is Ending.HINDERED and result.error is not None:
                block(book, round_, message.actor.job, result.error.message, now)


def _attempted(book: Book, round_: Round, job: Job, code: str, now: Now) -> int:
    """Note that attempts of a job ended; give the origin of theirs."""
    round_.touched.add(job.row)
    job.last_ended = now.monotonic
    if not job.began:
        _began(book, round_, job, now)
    return book.origins.here(job.head.epoch, code, round_.writes.origins_put)


def _succeed(
    book: Book, round_: Round, message: Message, result: Result, origin: int, now: Now
) -> None:
    actor = message.actor
    book.record(message, round_, SUCCEEDED, 1, origin, result.started, result.ended, None)
    book.consume(message, round_)
    counts = actor.job.counts.get(actor.routine) or actor.job.count(actor.routine)
    counts[0] += 1
    counts[3] = message.retry_count
    _effects(book, round_, message, result, now)


def block(book: Book, round_: Round, job: Job, reason: str, now: Now) -> None:
    """Let a job wait until someone mends what hinders it, and takes it up again."""
    if book.move(job, round_, JobEvent.BLOCKED, now, reason):
        round_.recalls.add(job.row)


def _expect_the_rest(message: Message) -> None:
    """An ordered actor's process gives back what was sent ahead: until then nothing new passes it (G8)."""
    actor = message.actor
    actor.gives_back = actor.spec.ordered and not actor.spec.parallel and actor.messages_out > 0


def interrupt(book: Book, round_: Round, given: Interrupt, now: Now) -> None:
    """Record an attempt that began and whose outcome was lost; the same number runs again."""
    message = book.outstanding.pop(given.dispatch, None)
    if message is None:
        return
    book.take_back(message)
    origin = _attempted(book, round_, message.actor.job, given.code, now)
    _interrupted(book, round_, message, origin, given.started, now.wall)


def recover(book: Book, round_: Round, given: Recover, now: Now) -> None:
    """Record an attempt that an earlier run of this supervisor left behind, by its page."""
    job = book.jobs.get(given.row)
    message = None if job is None else job.messages.get(given.message)
    if job is None or message is None or job.head.epoch != given.epoch or message.dispatch:
        return
    if message.attempts + 1 != given.attempt:
        return
    round_.touched.add(job.row)
    if not job.began:
        _began(book, round_, job, now)
    origin = book.origins.here(given.epoch, given.code, round_.writes.origins_put)
    book.record(message, round_, INTERRUPTED, 0, origin, given.started, now.wall, None)


def _began(book: Book, round_: Round, job: Job, now: Now) -> None:
    job.began = True
    if not book.move(job, round_, JobEvent.BEGAN, now):
        book.save(job, round_)


def _interrupted(
    book: Book, round_: Round, message: Message, origin: int, started: float, ended: float
) -> None:
    book.record(message, round_, INTERRUPTED, 0, origin, started, ended, None)
    message.actor.put(message)
    message.actor.home = None
    book.wake(message.actor)


def _checkpoint(book: Book, round_: Round, message: Message, result: Result, now: Now) -> None:
    job = message.actor.job
    round_.touched.add(job.row)
    _effects(book, round_, message, result, now)
    if result.progress is not None:
        book.change(message, round_, now)
    stop = job.frozen or job.cancelling
    round_.checkpoints.append(Checkpointed(result.dispatch, stop))


def _effects(book: Book, round_: Round, message: Message, result: Result, now: Now) -> None:
    actor = message.actor
    job = actor.job
    routes = actor.routes
    for event, data in result.emissions:
        for target, slot in routes.get(event, ()):
            book.deliver(job, round_, target, slot, data)
    if result.attributes:
        _attributes(round_, message, result)
    if result.shared:
        for key, kind, operand in result.shared:
            value = _merged(job.shared.get(key), kind, operand)
            job.note_shared(key, value)
            round_.writes.shared[(job.row, key)] = value
    if result.blobs:
        _blobs(round_, job, result)
    if result.progress is not None:
        _progress(message, result)
    if result.questions:
        _questions(book, round_, message, result, now)
    if result.result is not None:
        job.head.result = merge_fields(job.head.result, result.result)
        book.save(job, round_)


def _attributes(round_: Round, message: Message, result: Result) -> None:
    actor = message.actor
    row = actor.job.row
    for name, value in result.attributes.items():
        if value is None:
            actor.attributes.pop(name, None)
        else:
            actor.attributes[name] = value
        round_.writes.attributes[(row, actor.routine, "", name)] = value


def _blobs(round_: Round, job: Job, result: Result) -> None:
    round_.writes.blobs_put.extend(BlobRow(job.row, digest, size) for digest, size in result.blobs)


def _progress(message: Message, result: Result) -> None:
    message.progress = None if result.progress == EMPTY_PROGRESS else result.progress


def _questions(book: Book, round_: Round, message: Message, result: Result, now: Now) -> None:
    job = message.actor.job
    for question in result.questions:
        due = None if question.timeout is None else now.wall + question.timeout
        asked = QuestionRow(
            job.row, question.id, message.number, message.actor.routine, question.slot,
            question.prompt, now.wall, due,
        )
        job.questions[question.id] = asked
        round_.writes.questions_put.append(asked)
        if question.timeout is not None:
            book.ask(job, question.id, now.monotonic + question.timeout)


def _merged(current: bytes | None, kind: SharedKind, operand: bytes) -> bytes | None:
    """Apply a shared write, which never conflicts.

    Where another turn has meanwhile put something else there, this one, later in commit order, wins: it is
    applied as to a key that holds nothing.
    """
    for held in (current, None):
        try:
            return merge(held, kind, operand)
        except ValueMalformed:
            continue
    return current  # the operand itself is none


def _fail(
    book: Book, round_: Round, message: Message, result: Result, origin: int, now: Now,
    random: Callable[[], float],
) -> None:
    actor = message.actor
    job = actor.job
    error = result.error or TurnError("Exception", "the attempt failed without an error")
    if result.attributes:
        _attributes(round_, message, result)
    if result.blobs:
        _blobs(round_, job, result)
    if result.progress is not None:
        _progress(message, result)
    decision = decide(
        actor.handler, message.retry_count, retryable=error.retryable, after=error.after,
        random=random(),
    )
    verdict = decision.verdict
    final = verdict in _FINAL
    message.retry_count = decision.retry_count
    book.record(
        message, round_, int(_FINAL.get(verdict, Outcome.FAILED)), int(final), origin,
        result.started, result.ended, msgspec.msgpack.encode(TurnError(error.type, error.message)),
    )
    message.attempts += 1
    actor.tried.add(message.number)
    if final:
        _end_failed(book, round_, message, error, verdict)
        return
    if verdict is Verdict.RETRY:
        if decision.delay > 0.0:
            book.wait(message, now.monotonic + decision.delay)
        else:
            actor.put(message)
            book.wake(actor)
    else:
        message.due = None
        _stop(book, round_, message, error, now)
    book.change(message, round_, now)


def _end_failed(
    book: Book, round_: Round, message: Message, error: TurnError, verdict: Verdict
) -> None:
    actor = message.actor
    job = actor.job
    book.consume(message, round_)
    counts = job.count(actor.routine)
    counts[1 if verdict is Verdict.CONTINUE else 2] += 1
    counts[3] = message.retry_count
    if FAILED_EVENT in actor.routes:
        fields = {
            "slot": message.slot,
            "data": msgspec.Raw(message.data),
            "error": {"type": error.type, "message": error.message},
        }
        book.emit(actor, round_, FAILED_EVENT, msgspec.msgpack.encode(fields))
    if actor.has_work():
        book.wake(actor)


def _stop(book: Book, round_: Round, message: Message, error: TurnError, now: Now) -> None:
    job = message.actor.job
    if job.head.status in (JobStatus.FAILED, JobStatus.CANCELLED):
        return
    job.head.error = JobError(error.type, error.message, error.traceback, message.actor.routine)
    job.head.held = False
    job.cancelling = False
    book.move(job, round_, JobEvent.STOPPED, now)
    round_.recalls.add(job.row)
