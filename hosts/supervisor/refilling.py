"""Reading messages that are on disk alone back into mailboxes: right after a commit, when both agree.

Which and how many is the engine's to say.
"""

from __future__ import annotations

from sojourn.hosts.store.rows import problem_of_messages
from sojourn.hosts.store.schema import unreadable
from sojourn.hosts.supervisor.core import Core
from sojourn.runtime.engine.inputs import Block, Fetch, Refill
from sojourn.runtime.engine.model import Actor, Job
from sojourn.runtime.engine.references import referenced_blobs


def refill(core: Core) -> None:
    """Read messages into every mailbox that runs out."""
    hungry = core.engine.book.mailboxes.hungry
    while hungry:
        _, actor = hungry.popitem()
        if actor.stored and core.engine.job(actor.job.row) is actor.job:
            _refill(core, actor)


def _refill(core: Core, actor: Actor) -> None:
    job = actor.job
    rows = core.store.waiting_messages(
        job.row, actor.routine, actor.stored_from, core.engine.book.mailboxes.missing(actor)
    )
    problem = problem_of_messages(rows)
    if problem is None:
        core.apply(Refill(job.row, actor.routine, rows))
        return
    reason = unreadable(core.home.store, job.head.job_id, problem).message
    if job.head.reason != reason:
        core.log.error("job unreadable", reason=reason)
        core.apply(Block(job.row, reason))


def fetch(core: Core, row: int, number: int) -> list[Fetch]:
    """Give what takes a message into memory that may be on disk alone."""
    found = core.store.messages_from(row, number, 1)
    return [Fetch(message) for message in found if message.message == number]


def blobs_of(core: Core, job: Job) -> dict[str, int]:
    """Give digest → bytes of the blobs that a job refers to.

    Where some of its messages are on disk alone, of all that are kept for it: none is looked through.
    """
    found = referenced_blobs(job)
    if job.stored:
        found |= dict(core.store.job_blobs(job.row))
    return found
