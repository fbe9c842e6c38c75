"""Taking jobs up, from this store or an image from elsewhere, and messages that were left on disk."""

from __future__ import annotations

from heapq import heapify, heappush
from operator import attrgetter

from sojourn.runtime.engine.book import CLOCK_STEP, Book
from sojourn.runtime.engine.inputs import Adopt, Fetch, Now, Refill, Round, Whence
from sojourn.runtime.engine.model import Actor, Job, Message
from sojourn.runtime.job import JobImage, JobStatus, MessageRow, Origin


def adopt(book: Book, round_: Round, given: Adopt, now: Now) -> None:
    """Take a job up into memory; one from elsewhere is written whole."""
    image = given.image
    job = Job(given.row, image.head, given.plan)
    job.next_message = max(image.head.next_message, given.numbers[0] + 1)
    job.next_sequence = max(image.head.next_sequence, given.numbers[1] + 1)
    job.began = job.next_sequence > 1
    for routine, counts in image.counts.items():
        job.counts[routine] = list(counts)
    for attribute in image.attributes:
        job.actor(attribute.routine).attributes[attribute.name] = attribute.value
    for shared in image.shared:
        job.shared[shared.key] = shared.value
    base = now.monotonic
    if given.whence is Whence.STORE:
        seen = _last_seen(book, image)
        base -= max(now.wall, seen)
    else:
        seen = 0.0
        job.head.clock_mark = (now.wall, job.next_sequence)
    for row in sorted(image.messages, key=attrgetter("message")):
        _take_up(book, job, row, base)
    for left in given.stored:
        actor = job.actor(left.routine)
        book.mailboxes.leave(actor, left.first, left.total, left.bytes)
    for actor in job.actors.values():
        heapify(actor.ready)
        book.mailboxes.ask_for_more(actor)
        book.mailboxes.take_stock(actor)
    for question in image.questions:
        job.questions[question.question] = question._replace(job=given.row)
        if question.due is not None:
            book.ask(job, question.question, base + question.due)
    if given.whence is Whence.ELSEWHERE:
        _write_whole(book, round_, job, image, now)
    elif given.whence is Whence.STAGED:
        _write_dues(book, round_, job, image, now)
    book.jobs[given.row] = job
    if seen - now.wall >= CLOCK_STEP:
        book.count_anew(job, round_, now, now.wall - seen)
    job.refresh()
    if job.head.status is JobStatus.QUEUED:
        book.queues.count(job, 1)
    book.wake_all(job)
    round_.touched.add(given.row)


def _last_seen(book: Book, image: JobImage) -> float:
    """Give the newest wall time that this host wrote for the job, by the clock that its dues are of.

    It isn't earlier now: a clock that was set back while the host was down would make what waits for its
    retry wait as much longer.
    """
    mark = image.head.clock_mark
    if mark is None:
        return 0.0
    last = image.history[-1] if image.history else None
    if last is None or last.sequence < mark[1]:
        return mark[0]
    return last.ended if image.origins[last.origin].host == book.origins.host else mark[0]


def _take_up(book: Book, job: Job, row: MessageRow, base: float) -> None:
    actor = job.actors.get(row.routine) or job.actor(row.routine)
    if row.untried and (actor.stored or len(actor.ready) >= book.mailboxes.room):
        book.mailboxes.leave(actor, row.message, 1, len(row.data))
        return
    message = _message(actor, row)
    book.mailboxes.keep(message)
    number, due = row.message, row.due
    if row.attempts:
        actor.tried.add(number)
    if due is None:
        return
    if due == 0.0:
        message.due = 0.0  # one number for all of them
        actor.ready.append(number)
    else:
        book.wait(message, base + due)


def _message(actor: Actor, row: MessageRow) -> Message:
    return Message(
        row.message, actor, row.slot, row.data, row.attempts, row.retry_count, row.due, row.progress
    )


def refill(book: Book, given: Refill) -> None:
    """Take messages that were on disk alone into memory."""
    job = book.jobs.get(given.row)
    actor = None if job is None else job.actors.get(given.routine)
    if job is None or actor is None or not actor.stored:
        return
    for row in given.messages:
        _take_from_store(book, job, actor, row)
    if given.messages:
        actor.stored_from = given.messages[-1].message + 1
    else:
        book.mailboxes.none_left(actor)
    book.mailboxes.ask_for_more(actor)
    if actor.has_work():
        book.wake(actor)


def fetch(book: Book, given: Fetch) -> None:
    """Take one message into memory, if it was on disk alone."""
    row = given.message
    job = book.jobs.get(row.job)
    actor = None if job is None else job.actors.get(row.routine)
    if job is None or actor is None or not actor.stored or row.message < actor.stored_from:
        return
    if row.untried:
        _take_from_store(book, job, actor, row)


def _take_from_store(book: Book, job: Job, actor: Actor, row: MessageRow) -> None:
    if row.message in job.messages:
        return  # fetched out of turn before
    book.mailboxes.came_back(actor, _message(actor, row))
    heappush(actor.ready, row.message)


def _write_whole(book: Book, round_: Round, job: Job, image: JobImage, now: Now) -> None:
    """Write every row under this store's numbers: job row, origins, and dues by this host's clock."""
    writes = round_.writes
    row = job.row
    writes.jobs_cleared.append(row)
    writes.flows_put[job.plan.digest] = image.flow
    ids = {
        number: book.origins.intern(Origin(*_plain(origin)), writes.origins_put)
        for number, origin in image.origins.items()
    }
    writes.messages_put.extend(
        message._replace(job=row, due=now.wall + message.due if message.due else message.due)
        for message in image.messages
    )
    writes.history.extend(
        entry._replace(job=row, origin=ids[entry.origin]) for entry in image.history
    )
    for entry in image.attributes:
        writes.attributes[(row, entry.routine, entry.key, entry.name)] = entry.value
    for shared in image.shared:
        writes.shared[(row, shared.key)] = shared.value
    for question in image.questions:
        due = None if question.due is None else now.wall + question.due
        moved = question._replace(job=row, due=due)
        writes.questions_put.append(moved)
        job.questions[question.question] = moved
    writes.logs.extend(entry._replace(job=row) for entry in image.logs)
    writes.blobs_put.extend(entry._replace(job=row) for entry in image.blobs)
    book.save(job, round_)


def _write_dues(book: Book, round_: Round, job: Job, image: JobImage, now: Now) -> None:
    """Write the head and, by this host's clock, when what waits is due: the other rows are there."""
    writes = round_.writes
    for message in image.messages:
        if message.due:
            writes.messages_changed.append(
                (message.attempts, message.retry_count, now.wall + message.due, message.progress,
                 job.row, message.message)
            )
    for question in image.questions:
        if question.due is not None:
            moved = question._replace(job=job.row, due=now.wall + question.due)
            writes.questions_put.append(moved)
            job.questions[question.question] = moved
    book.save(job, round_)


def _plain(origin: Origin) -> tuple[str, int, str]:
    return origin.host, origin.epoch, origin.code


def relative_image(image: JobImage, now: Now, job: Job | None = None) -> JobImage:
    """Turn an image's dues from wall clock into seconds from now, so that clocks need not agree.

    Args:
        image: as read from a store.
        now: this host's clocks.
        job: the same job in memory, where it is: its dues don't suffer if the wall clock was set meanwhile.
    """
    held = {} if job is None else job.messages
    image.messages = [
        message._replace(due=_left(message, held.get(message.message), now)) if message.due else message
        for message in image.messages
    ]
    image.questions = [
        question if question.due is None
        else question._replace(due=max(0.0, question.due - now.wall))
        for question in image.questions
    ]
    return image


def _left(row: MessageRow, message: Message | None, now: Now) -> float:
    """Give the seconds that are left of a message's backoff, never 0: that would mean that it is ready."""
    tiny = 1e-6
    if message is not None:
        return max(tiny, message.due - now.monotonic) if message.due else tiny
    return max(tiny, (row.due or 0.0) - now.wall)
