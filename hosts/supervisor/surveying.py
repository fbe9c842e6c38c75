"""Surveys: asking another host, before a move begins, what speaks against it and what it would cost.

A survey freezes nothing and writes nothing. What follows from its finding is for whoever asked for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from sojourn.hosts.peers.protocol import Links
from sojourn.hosts.supervisor.codebases import LoadAnswer
from sojourn.hosts.supervisor.core import Core, ToPeer
from sojourn.hosts.supervisor.fleet import Fleet
from sojourn.hosts.supervisor.weighing import change_weight
from sojourn.runtime.engine.inputs import Round
from sojourn.runtime.errors import HandoffAborted
from sojourn.runtime.handoff.source import Patience
from sojourn.runtime.handoff.survey import Asked, Reason, Timing, timing
from sojourn.runtime.wire.handoff import Preflight
from sojourn.runtime.wire.survey import COPY_FORMAT, Code, Survey, Surveyed

SAMPLE = 0.25
"""Seconds for which a dry run looks at how much a job changes."""


class SurveyTicket(NamedTuple):
    """Which survey a look at this host's own code is for."""

    m: str


class Finding(msgspec.Struct):
    """What a survey came to.

    Attributes:
        asked: the PREFLIGHT that a move would begin with.
        code: the code of the flow here.
        reasons: everything that speaks against the move.
        answer: of the target; None where there was none.
        measured: of the way there; None likewise.
        changing: bytes per second that the job changed meanwhile.
    """

    asked: Preflight
    code: Code
    reasons: list[Reason] = []
    answer: Surveyed | None = None
    measured: Timing | None = None
    changing: float = 0.0


class _Survey(msgspec.Struct, eq=False):
    """One under way.

    Attributes:
        row: the job's row.
        peer: the target.
        dry_run: whether nothing shall follow.
        finding: what is known so far.
        then: called with it at the end.
        begun: monotonic seconds.
        deadline: monotonic seconds at which it ends without an answer.
        due: monotonic seconds at which it is asked again, or has looked for long enough; None while this
            host's own code is looked at.
        pause: seconds between two askings.
        sent: number of an asking → when.
        changed: bytes that the job changed.
    """

    row: int
    peer: str
    dry_run: bool
    finding: Finding
    then: Callable[[Finding], None]
    begun: float
    deadline: float
    due: float | None = None
    pause: float = 0.0
    sent: dict[int, Asked] = {}
    changed: int = 0


class Surveys:
    """All surveys that this host asks.

    Args:
        core: shared state.
        fleet: looks at this host's own code.
        links: tells who can be reached.
        patience: how long is waited.
        version: of this software.
    """

    def __init__(
        self, core: Core, fleet: Fleet, links: Links, patience: Patience, version: str
    ) -> None:
        self._core = core
        self._fleet = fleet
        self._links = links
        self._patience = patience
        self._surveys: dict[str, _Survey] = {}
        self._version = version

    def begin(
        self, row: int, asked: Preflight, digest: str, peer: str, then: Callable[[Finding], None], *,
        dry_run: bool,
    ) -> None:
        """Begin one.

        Args:
            row: the job's row.
            asked: the PREFLIGHT that a move would begin with; its code is filled in here.
            digest: of the job's flow.
            peer: the target.
            then: called with the finding, at once where the target can't be reached.
            dry_run: whether nothing shall follow.
        """
        now = self._core.read_clocks().monotonic
        self._surveys[asked.m] = _Survey(
            row, peer, dry_run, Finding(asked, Code()), then, now, now + self._patience.preflight
        )
        self._fleet.code.detail(digest, asked.flow, SurveyTicket(asked.m), running=True)

    def cancel(self, row: int, reason: str) -> None:
        """Someone wants the move of a job not to begin."""
        for m, survey in list(self._surveys.items()):
            if survey.row == row and not survey.dry_run:
                self._end(m, survey, reason)

    def part_with(self, peer: str, why: str) -> None:
        """A host isn't paired any more."""
        for m, survey in list(self._surveys.items()):
            if survey.peer == peer:
                self._end(m, survey, why)

    def rows(self) -> set[int]:
        """Give the rows of the jobs of which a move is about to begin."""
        return {survey.row for survey in self._surveys.values() if not survey.dry_run}

    def loaded(self, ticket: SurveyTicket, answer: LoadAnswer) -> None:
        """This host's own code was looked at; where it can't be loaded, nothing is compared."""
        survey = self._surveys.get(ticket.m)
        if survey is None:
            return
        found = answer.inspected
        if found is not None:
            survey.finding.code = Code(found.code, found.files, found.routines)
            survey.finding.asked = msgspec.structs.replace(
                survey.finding.asked, code=found.code, files=found.files
            )
        if self._links.connected(survey.peer):
            survey.pause = self._patience.resend
            self._ask(survey)
            return
        why = self._links.why_apart(survey.peer)
        sentence = f"host {survey.peer!r} can't be reached now; see `sojourn peers`"
        self._end(ticket.m, survey, sentence if why is None else f"{sentence}: {why}")

    def _ask(self, survey: _Survey) -> None:
        now = self._core.read_clocks()
        number = len(survey.sent) + 1
        survey.sent = {**survey.sent, number: Asked(now.wall, now.monotonic)}
        survey.due = now.monotonic + survey.pause
        survey.pause = min(survey.pause * 2, self._patience.longest)
        finding = survey.finding
        asked = msgspec.structs.replace(finding.asked, files=[])  # they are in ``code``
        self._core.send(ToPeer(survey.peer, Survey(
            number, asked, finding.code, COPY_FORMAT, self._version, survey.dry_run
        )))

    def _end(self, m: str, survey: _Survey, problem: str | None = None) -> None:
        del self._surveys[m]
        finding = survey.finding
        if problem is not None:
            finding.reasons.append((HandoffAborted.__name__, problem))
        took = max(self._core.read_clocks().monotonic - survey.begun, SAMPLE)
        finding.changing = survey.changed / took
        survey.then(finding)

    def received(self, peer: str, message: Surveyed) -> None:
        """Take in an answer."""
        survey = self._surveys.get(message.m)
        if survey is None or survey.peer != peer or survey.finding.answer is not None:
            return
        asked = survey.sent.get(message.number)
        if asked is None:
            return
        now = self._core.read_clocks().monotonic
        survey.finding.answer = message
        survey.finding.reasons = list(message.reasons)
        survey.finding.measured = timing(asked, message, now)
        survey.due = survey.begun + SAMPLE
        if not survey.dry_run or now >= survey.due:
            self._end(message.m, survey)

    def note(self, committed: Round) -> None:
        """See how much the jobs change meanwhile."""
        for survey in self._surveys.values():
            if survey.dry_run:
                survey.changed += change_weight(committed.writes, survey.row)

    def link_back(self, peer: str) -> None:
        """A target can be reached again: what was asked may be lost."""
        for survey in self._surveys.values():
            if survey.peer == peer and survey.due is not None and survey.finding.answer is None:
                self._ask(survey)

    def tick(self, now: float) -> float | None:
        """Do what is due; give when to be called again (monotonic seconds)."""
        for m, survey in list(self._surveys.items()):
            if survey.due is None or survey.due > now:
                continue
            if survey.finding.answer is not None:
                self._end(m, survey)
            elif now >= survey.deadline:
                self._end(m, survey, f"host {survey.peer!r} didn't answer in time")
            else:
                self._ask(survey)
        times = (survey.due for survey in self._surveys.values())
        return min((time for time in times if time is not None), default=None)
