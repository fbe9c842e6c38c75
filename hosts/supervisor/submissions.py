"""Submits: from a locator or a flow to jobs, once the code of the flow has been looked at."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from sojourn.hosts.supervisor.backlog import Backlog
from sojourn.hosts.supervisor.codebases import CodeBases, LoadAnswer
from sojourn.hosts.supervisor.core import Asker, Core
from sojourn.runtime.commands import check_fields, cordoned
from sojourn.runtime.engine.inputs import Create
from sojourn.runtime.engine.model import FlowPlan
from sojourn.runtime.errors import Refused, SojournError, UsageError, from_wire
from sojourn.runtime.flow import INPUT_SLOT
from sojourn.runtime.flow_document import read_flow
from sojourn.runtime.job import Ownership
from sojourn.runtime.wire.client import Request, Submit
from sojourn.runtime.wire.zygote import Inspected

Fresh = tuple[int, bytes, str]
"""Row, input and digest of flow and input of a job that is to be made."""

JOB_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Answers(Protocol):
    """What is needed of the desk."""

    def reply(self, asker: Asker, body: dict[str, Any]) -> None:
        """Answer that a command was done."""
        ...

    def fail(self, asker: Asker, error: SojournError) -> None:
        """Answer that it wasn't."""
        ...

    def relay(self, host: str, asker: Asker, request: Request) -> None:
        """Let another host do it."""
        ...

    def arriving(self, job_id: str) -> bool:
        """Whether a job of this id is being handed over to this host."""
        ...


class SubmitTicket(msgspec.Struct, frozen=True):
    """A submit whose flow is looked at."""

    asker: Asker
    command: Submit


class Submissions:
    """Makes jobs.

    Args:
        core: shared state.
        code: asked about flows.
        answers: tells those who submit.
    """

    def __init__(self, core: Core, code: CodeBases, answers: Answers) -> None:
        self._core = core
        self._code = code
        self._answers = answers
        self._backlog = Backlog(core)

    def submit(self, asker: Asker, command: Submit) -> None:
        """Have the flow of a submit looked at; the jobs are made when it loads."""
        if self._core.stopping:
            raise Refused(f"host {self._core.host!r} is stopping: submit again when it is up")
        if len(command.inputs) != len(command.job_ids):
            raise UsageError("a submit must name as many job ids as inputs")
        for job_id in command.job_ids:
            if job_id is None:
                continue
            if JOB_ID.fullmatch(job_id) is None:
                raise UsageError(
                    f"{job_id!r} can't be a job id: use 1 to 64 letters, digits, dots, dashes or "
                    "underscores"
                )
        moved = self._moved_submit(command)
        if moved is not None:
            self._answers.relay(moved, asker, Request(asker.request, self._core.new_id(), None, command))
            return
        self._refuse_cordoned(command)
        if command.flow is not None:
            digest = self._digest(command.flow)
            self._code.check(digest, command.flow, SubmitTicket(asker, command))
        elif command.locator is not None:
            module, colon, attribute = command.locator.partition(":")
            if not (module and colon and attribute):
                raise UsageError(
                    f"{command.locator!r} names no flow: write MODULE:ATTR, like `pipeline:flow`"
                )
            self._code.inspect(command.locator, SubmitTicket(asker, command))
        else:
            raise UsageError("a submit must name a flow")

    def _refuse_cordoned(self, command: Submit) -> None:
        """A cordoned host takes no new job; one that it has is submitted again in vain, as ever."""
        if self._core.cordoned and self._is_new(command):
            raise Refused(cordoned(self._core.host))

    def _is_new(self, command: Submit) -> bool:
        """Whether a submit asks for a job that isn't there yet."""
        return any(name is None or self._core.head(name) is None for name in command.job_ids)

    def _digest(self, encoded: bytes) -> str:
        """Give the digest of an encoded flow."""
        try:
            return read_flow(encoded)[1]
        except msgspec.DecodeError as error:
            raise UsageError(f"the flow doesn't decode: {error}") from None

    def _moved_submit(self, command: Submit) -> str | None:
        """Give the host that a submit under a moved job's id belongs to."""
        for job_id in command.job_ids:
            known = self._core.head(job_id) if job_id is not None else None
            if known is None:
                continue
            row, head = known
            if head.ownership is Ownership.FORGOTTEN and head.moved_to is None:
                raise Refused(
                    f"job id {job_id} was used by a job that was forgotten on host "
                    f"{self._core.host!r}: choose another id"
                )
            if head.moved_to is not None and head.ownership in (
                Ownership.GONE, Ownership.FORGOTTEN
            ) and row not in self._core.moving:
                return head.moved_to
        return None

    def loaded(self, ticket: SubmitTicket, answer: LoadAnswer) -> None:
        """Go on with a submit whose flow was found, or wasn't."""
        asker, command = ticket.asker, ticket.command
        try:
            if answer.failed is not None:
                raise from_wire(answer.failed.kind, answer.failed.message)
            assert answer.inspected is not None
            self._create(asker, command, answer.inspected)
        except SojournError as error:
            self._answers.fail(asker, error)

    def _create(self, asker: Asker, command: Submit, inspected: Inspected) -> None:
        core = self._core
        digest = self._digest(inspected.flow)
        plan = core.plan(digest, inspected.flow)
        self._refuse_cordoned(command)
        if self._backlog.is_full(digest) and self._is_new(command):
            self._backlog.add(asker, command, plan, inspected)
            return
        self._make(asker, command, plan, inspected)

    def after_commit(self) -> None:
        """Go on with submits that waited, as far as there is room."""
        while (waiting := self._backlog.next()) is not None:
            try:
                self._refuse_cordoned(waiting.command)
                self._make(waiting.asker, waiting.command, waiting.plan, waiting.inspected)
            except SojournError as error:
                self._answers.fail(waiting.asker, error)
        self._backlog.tell()

    def next_deadline(self) -> float | None:
        """Give the monotonic time at which those who wait are to be told so."""
        return self._backlog.next_deadline()

    def gone(self, asker: Asker) -> None:
        """Someone went away: what he submitted and nobody acknowledged isn't made."""
        if self._backlog.drop(asker):
            error = Refused("the submit waited for room when its line was cut: submit again")
            self._answers.fail(asker, error)  # it is told to whoever asked for the same meanwhile

    def _make(self, asker: Asker, command: Submit, plan: FlowPlan, inspected: Inspected) -> None:
        core = self._core
        entry = plan.routines[plan.spec.entry].slot(INPUT_SLOT)
        what = f"the input of flow {plan.spec.id!r}"
        for data in command.inputs:
            check_fields(data, entry, what)
        fresh: dict[str, Fresh] = {}
        made = iter(core.new_ids(command.job_ids.count(None)))
        ids = [next(made) if job_id is None else job_id for job_id in command.job_ids]
        submitted = hashlib.sha256(plan.digest.encode() + b"\0")
        # All are looked at before the first is made: a batch is refused whole.
        for name, given, data in zip(ids, command.job_ids, command.inputs, strict=True):
            whole = submitted.copy()
            whole.update(data)
            submission = whole.hexdigest()
            row = core.fresh_row(name) if given is None else self._named(name, submission, fresh)
            if row is not None:
                fresh[name] = (row, data, submission)
        core.round.writes.flows_put[plan.digest] = inspected.flow
        if command.locator is not None:
            self._code.note_checked(plan.digest, command.locator, inspected)
        instances = core.new_ids(len(fresh))
        core.apply_all([
            Create(row, name, instance, plan, data, submission, command.priority)
            for instance, (name, (row, data, submission)) in zip(instances, fresh.items(), strict=True)
        ])
        self._answers.reply(asker, {"job_ids": ids})

    def _named(self, job_id: str, submission: str, fresh: Mapping[str, Fresh]) -> int | None:
        """Give the row for a new job of a name; None where it is the same as one that there is.

        Raises:
            Refused: if another job has the name.
        """
        core = self._core
        known = core.head(job_id)
        if known is not None or job_id in fresh:
            there = fresh[job_id][2] if known is None else known[1].submission
            if there == submission:
                return None
            raise Refused(
                f"job id {job_id} is taken on host {core.host!r} by a job of another flow or input: "
                f"`sojourn show {job_id}` tells which; choose another id"
            )
        if self._answers.arriving(job_id):
            raise Refused(f"a job {job_id} is being handed over to host {core.host!r}: wait for it")
        return core.new_row(job_id)
