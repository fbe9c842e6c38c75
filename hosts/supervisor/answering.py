"""Answers to surveys of other hosts: everything that speaks against taking a job, and what it would cost.

Writes nothing but a probe of the disk, and begins no hand-off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from sojourn.hosts.supervisor.codebases import LoadAnswer
from sojourn.hosts.supervisor.core import Core, ToPeer
from sojourn.hosts.supervisor.fleet import Fleet
from sojourn.hosts.supervisor.held import seen_blobs
from sojourn.hosts.supervisor.weighing import measure_fsync
from sojourn.runtime.errors import (
    AccessDenied,
    CodeNotLoadable,
    HostUnable,
    JobUnreadable,
    ProtocolViolation,
    SojournError,
    to_wire,
)
from sojourn.runtime.handoff.survey import Reason, code_drift, format_problem
from sojourn.runtime.handoff.target import TargetFacts, decoded_flow, needed_bytes, vetoes
from sojourn.runtime.wire.handoff import Preflight
from sojourn.runtime.wire.survey import COPY_FORMAT, Code, Survey, Surveyed

MOST_ASKED = 1000
"""Surveys that are worked on at once; more are dropped, and asked again."""

PROBED_FOR = 1.0
"""Seconds for which a disk that could be written is taken to be so, for moves: they write to it anyway."""


class AnswerTicket(NamedTuple):
    """Which survey a look at code is for."""

    peer: str
    m: str


class _Asked(msgspec.Struct):
    """A survey whose code is being looked at; ``at``: when it came, monotonic."""

    survey: Survey
    at: float


class Answering:
    """The surveys that this host was asked.

    Args:
        core: shared state.
        fleet: looks at code.
        facts: what this host knows of a job.
        version: of this software.
    """

    def __init__(
        self, core: Core, fleet: Fleet, facts: Callable[[Preflight], TargetFacts], version: str
    ) -> None:
        self._core = core
        self._fleet = fleet
        self._facts = facts
        self._asked: dict[AnswerTicket, _Asked] = {}
        self._probed: tuple[float, float, HostUnable | None] | None = None
        """When the disk was tried last, how long that took, and what was wrong."""
        self._version = version

    def received(self, peer: str, survey: Survey) -> None:
        """Take in a survey; it is answered when its code was looked at."""
        now = self._core.read_clocks().monotonic
        ticket = AnswerTicket(peer, survey.asked.m)
        known = self._asked.get(ticket)
        if known is not None:
            known.survey, known.at = survey, now
            return
        if len(self._asked) >= MOST_ASKED:
            self._core.log.warning("refused", kind="too many surveys", detail=peer)
            return
        self._asked[ticket] = _Asked(survey, now)
        read = decoded_flow(survey.asked)
        if isinstance(read, str):
            self._answer(ticket, Code(), [(ProtocolViolation.__name__, read)])
            return
        _, digest = read
        try:
            self._core.plan(digest, survey.asked.flow)
        except (SojournError, KeyError) as error:
            reason = f"the flow of the job is malformed: {error}"
            self._answer(ticket, Code(), [(CodeNotLoadable.__name__, reason)])
            return
        self._fleet.code.detail(digest, survey.asked.flow, ticket, running=False)

    def loaded(self, ticket: AnswerTicket, answer: LoadAnswer) -> None:
        """The code of a survey was looked at."""
        asked = self._asked.get(ticket)
        if asked is None:
            return
        if answer.inspected is None:
            assert answer.failed is not None
            denied = answer.failed.kind == AccessDenied.__name__
            kind = AccessDenied.__name__ if denied else CodeNotLoadable.__name__
            self._answer(ticket, Code(), [(kind, answer.failed.message)])
            return
        found = answer.inspected
        code = Code(found.code, found.files, found.routines)
        reasons: list[Reason] = []
        if not asked.survey.asked.allow_code_drift:
            drift = code_drift(asked.survey.code, code, self._core.host)
            reasons = [] if drift is None else [(CodeNotLoadable.__name__, drift)]
        self._answer(ticket, code, reasons)

    def _answer(self, ticket: AnswerTicket, code: Code, about_code: list[Reason]) -> None:
        core = self._core
        asked = self._asked.pop(ticket)
        question = asked.survey.asked
        try:
            facts = self._facts(question)
            reasons = [*vetoes(question, facts), *about_code]
        except JobUnreadable as error:
            facts = TargetFacts(core.host)
            reasons = [to_wire(error), *about_code]
        problem = format_problem(asked.survey.copy_format, core.host)
        if problem is not None:
            reasons.append((ProtocolViolation.__name__, problem))
        fsync, problem_of_disk = self._probe(anew=asked.survey.dry_run)
        if problem_of_disk is not None:
            reasons.append((HostUnable.__name__, f"on host {core.host!r} {problem_of_disk.message}"))
        if reasons and not asked.survey.dry_run:
            core.log.warning(
                "hand-off refused", job=question.job_id, source=ticket.peer,
                reason="; ".join(sentence for _, sentence in reasons),
            )
        now = self._core.read_clocks()
        core.send(ToPeer(ticket.peer, Surveyed(
            question.m, asked.survey.number, reasons, seen_blobs(core.home.blobs, question.blobs), code,
            facts.free_bytes, needed_bytes(question, facts.held_bytes), fsync * 1000, now.wall,
            now.monotonic - asked.at, (COPY_FORMAT, COPY_FORMAT), self._version,
        )))

    def _probe(self, *, anew: bool) -> tuple[float, HostUnable | None]:
        """Try the disk: its seconds, and what is wrong with it.

        Args:
            anew: whether it matters how it is this very moment; else what was seen a moment ago does.
        """
        core = self._core
        now = core.now.monotonic
        if self._probed is None or anew or now - self._probed[0] > PROBED_FOR or self._probed[2]:
            seconds, problem = 0.0, None
            try:
                seconds = measure_fsync(core.home.blobs, core.read_clocks)
            except HostUnable as error:
                problem = error
            self._probed = (now, seconds, problem)
        return self._probed[1:]
