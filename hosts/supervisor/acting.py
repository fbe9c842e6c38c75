"""The commands that act on one job: pause, resume, cancel, retry, forget.

Checks that they fit the job's state and lets the engine act; who asks is answered once it is on disk, for a
pause or cancel once the job has come to rest.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from sojourn.hosts.supervisor.claims import two_owners
from sojourn.hosts.supervisor.core import Asker, Core
from sojourn.hosts.supervisor.fleet import Fleet
from sojourn.hosts.supervisor.papers import shown_now
from sojourn.runtime.commands import (
    check_fields,
    check_live,
    check_pause,
    check_resume,
    check_retry,
    find_question,
)
from sojourn.runtime.engine.inputs import (
    AnswerQuestion,
    CancelJob,
    Drop,
    Hold,
    Lift,
    RetryJob,
    Round,
)
from sojourn.runtime.errors import Refused, SojournError
from sojourn.runtime.job import JobHead, JobStatus, Ownership
from sojourn.runtime.wire.client import Cancel, Forget, Pause, Resume, Retry


class Answers(Protocol):
    """What is needed of the desk."""

    def reply(self, asker: Asker, body: dict[str, Any]) -> None:
        """Answer that a command was done."""
        ...

    def fail(self, asker: Asker, error: SojournError) -> None:
        """Answer that it wasn't."""
        ...

    def stop_move(self, row: int) -> None:
        """Abort the hand-off of a job, if one is under way."""
        ...


class Waiter(msgspec.Struct, eq=False):
    """Someone who is answered when a job has fallen quiet."""

    asker: Asker
    row: int
    job_id: str
    verb: str


class Acting:
    """Acts on jobs for those who ask.

    Args:
        core: shared state.
        fleet: hurries turns in flight.
        answers: tells those who asked.
    """

    def __init__(self, core: Core, fleet: Fleet, answers: Answers) -> None:
        self._core = core
        self._fleet = fleet
        self._answers = answers
        self._waiters: list[Waiter] = []

    def live(self, name: str, verb: str) -> tuple[int, JobHead]:
        """Find a job that isn't finished.

        Raises:
            Refused: if it is.
        """
        row, head = self._core.find(name)
        check_live(head, self._core.host, verb)
        return row, head

    def check_not_cancelling(self, head: JobHead) -> None:
        """See that a job isn't about to be cancelled, once its last turns have ended.

        Raises:
            Refused: if it is.
        """
        if head.cancelling:
            raise Refused(
                f"job {head.job_id} is being cancelled on host {self._core.host!r}: there is nothing "
                "to move"
            )

    def check_not_contested(self, head: JobHead) -> None:
        """See that no other host holds a job at the same epoch.

        Raises:
            Refused: if one does.
        """
        if head.contested_by is not None:
            raise Refused(
                f"job {head.job_id} is blocked on host {self._core.host!r}: "
                f"{two_owners(head.job_id, self._core.host, head.contested_by, head.epoch)}"
            )

    def pause(self, asker: Asker, command: Pause) -> None:
        """Let no new turn start; answered once none is in flight."""
        row, head = self._core.find(command.job)
        check_pause(head, self._core.host)
        self._waiters.append(Waiter(asker, row, head.job_id, "pause"))
        self._core.apply(Hold(row))

    def resume(self, asker: Asker, command: Resume) -> None:
        """Lift a pause, or answer a question."""
        row, head = self.live(command.job, "resume")
        if command.data is not None:
            self._answer_question(row, head, command.data, command.question)
        else:
            check_resume(
                head, self._core.host, shown_now(self._core, row, head), asks=self._asks(row)
            )
            self._core.apply(Lift(row))
        self._answers.reply(asker, self._status_body(row, head))

    def _asks(self, row: int) -> bool:
        job = self._core.engine.job(row)
        return job is not None and bool(job.questions)

    def _answer_question(self, row: int, head: JobHead, data: bytes, name: str | None) -> None:
        job = self._core.engine.job(row)
        asked = find_question({} if job is None else job.questions, head, self._core.host, name)
        assert job is not None  # it has a question
        slot = job.plan.routines[asked.routine].slot(asked.slot)
        check_fields(data, slot, f"the answer for {asked.routine}.{asked.slot}")
        self._core.apply(AnswerQuestion(row, asked.question, data))

    def cancel(self, asker: Asker, command: Cancel) -> None:
        """Cancel; answered once the job is cancelled."""
        row, head = self.live(command.job, "cancel")
        self._answers.stop_move(row)
        self._waiters.append(Waiter(asker, row, head.job_id, "cancel"))
        self._core.apply(CancelJob(row))
        self._fleet.recalls.hurry(row, None)

    def retry(self, asker: Asker, command: Retry) -> None:
        """Give failed messages a fresh budget, or lift a block."""
        row, head = self._core.find(command.job)
        self.check_not_contested(head)
        check_retry(head, self._core.host, shown_now(self._core, row, head))
        if head.status is JobStatus.BLOCKED:
            self._fleet.clear_failures(head.flow_digest)
            self._core.apply(RetryJob(row))
        elif self._core.engine.job(row) is not None:
            self._core.apply(RetryJob(row))
        else:
            self._core.apply(self._core.adoption(row), RetryJob(row))
        self._answers.reply(asker, self._status_body(row, head))

    def forget(self, asker: Asker, command: Forget) -> None:
        """Delete a finished job; a tombstone stays."""
        row, head = self._core.find(command.job)
        if head.ownership is not Ownership.GONE and not head.status.finished:
            raise Refused(
                f"job {head.job_id} is {shown_now(self._core, row, head)} on host "
                f"{self._core.host!r}: cancel it before it is forgotten"
            )
        job = self._core.engine.job(row)
        if job is not None and job.out:
            # Turns in flight still finish and commit; one at a checkpoint waits for its answer.
            self._waiters.append(Waiter(asker, row, head.job_id, "forget"))
            return
        self._forget(asker, row, head)

    def _forget(self, asker: Asker, row: int, head: JobHead) -> None:
        self._core.apply(Drop(row))
        self._core.forget_rows(row, head)
        self._answers.reply(asker, {"job_id": head.job_id, "status": "forgotten"})

    def _status_body(self, row: int, head: JobHead) -> dict[str, Any]:
        job = self._core.engine.job(row)
        status = shown_now(self._core, row, job.head if job is not None else head)
        return {"job_id": head.job_id, "status": status, "host": self._core.host}

    def after_commit(self, committed: Round) -> None:
        """Answer those whose job has fallen quiet, or has moved away with its pause."""
        changed = committed.quiet | committed.touched | committed.writes.heads.keys()
        for waiter in list(self._waiters):
            if waiter.row not in changed:
                continue
            head = self._core.store.head(waiter.row)
            if head is None:
                continue
            if head.ownership is Ownership.GONE and waiter.verb == "pause":
                self._waiters.remove(waiter)
                self._answers.reply(
                    waiter.asker,
                    {"job_id": head.job_id, "status": JobStatus.PAUSED.value, "host": head.moved_to},
                )
                continue
            job = self._core.engine.job(waiter.row)
            if waiter.verb == "forget":
                self._go_on_forgetting(waiter, head)
                continue
            paused = head.status is JobStatus.PAUSED or head.status.finished
            if waiter.verb == "pause" and not paused:
                if not head.held:
                    self._waiters.remove(waiter)
                    self._answers.fail(
                        waiter.asker,
                        Refused(f"job {waiter.job_id} was resumed before it had come to rest"),
                    )
                continue
            if waiter.verb == "cancel" and not head.status.finished:
                continue
            if job is not None and job.out:
                continue
            self._waiters.remove(waiter)
            self._answers.reply(waiter.asker, self._status_body(waiter.row, head))

    def _go_on_forgetting(self, waiter: Waiter, head: JobHead) -> None:
        if not head.status.finished:
            self._waiters.remove(waiter)
            self._answers.fail(
                waiter.asker,
                Refused(f"job {waiter.job_id} was retried before it could be forgotten"),
            )
        elif self._core.engine.job(waiter.row) is None:
            self._waiters.remove(waiter)
            self._forget(waiter.asker, waiter.row, head)
