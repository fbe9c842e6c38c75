"""Pre-flights: what every move asks before it begins, and what ``--dry-run`` prints of it.

Puts together what this host knows of a job and what the target answers. Freezes nothing and begins nothing:
that is for whoever asked, who gets the finding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sojourn import __version__
from sojourn.hosts.peers.protocol import Links
from sojourn.hosts.supervisor.answering import Answering, AnswerTicket
from sojourn.hosts.supervisor.codebases import LoadAnswer
from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.fleet import Fleet
from sojourn.hosts.supervisor.refilling import blobs_of
from sojourn.hosts.supervisor.safepoints import SafePoints
from sojourn.hosts.supervisor.surveying import Finding, Surveys, SurveyTicket
from sojourn.hosts.supervisor.weighing import measure_fsync, rows_weight
from sojourn.runtime.engine.inputs import Round
from sojourn.runtime.errors import HostUnable
from sojourn.runtime.handoff.dry_run import Local, survey_document
from sojourn.runtime.handoff.source import Patience
from sojourn.runtime.handoff.target import TargetFacts
from sojourn.runtime.job import JobHead, PeerRow
from sojourn.runtime.wire.client import DryRun, Migrate
from sojourn.runtime.wire.handoff import Preflight
from sojourn.runtime.wire.peer import PROTOCOL_VERSIONS
from sojourn.runtime.wire.survey import Survey, SurveyMessage


class Preflights:
    """All pre-flights, of jobs of this host and of those that others ask it to take.

    Args:
        core: shared state.
        fleet: looks at code, knows the turns in flight.
        links: tells who can be reached.
        patience: how long is waited.
        facts: what this host knows of a job that it is asked to take.
    """

    def __init__(
        self, core: Core, fleet: Fleet, links: Links, patience: Patience,
        facts: Callable[[Preflight], TargetFacts],
    ) -> None:
        self._core = core
        self._links = links
        self._version = __version__
        self._safe_points = SafePoints(core, fleet)
        self._surveys = Surveys(core, fleet, links, patience, self._version)
        self._answering = Answering(core, fleet, facts, self._version)

    # --- for jobs of this host ----------------------------------------------------------------------

    def begin(
        self, row: int, head: JobHead, to: str, command: Migrate | DryRun,
        then: Callable[[Finding], None],
    ) -> None:
        """Survey a move.

        Args:
            row: the job's row.
            head: the job.
            to: the target.
            command: the move.
            then: called with the finding.
        """
        asked = self._question(row, head, allow_code_drift=command.allow_code_drift)
        self._surveys.begin(
            row, asked, head.flow_digest, to, then, dry_run=isinstance(command, DryRun)
        )

    def _question(self, row: int, head: JobHead, *, allow_code_drift: bool) -> Preflight:
        """Make the question to the target of a hand-off, but for the code."""
        core = self._core
        job = core.engine.job(row)
        blobs = [] if job is None else sorted(blobs_of(core, job).items())
        rows = 0 if job is None else rows_weight(job, core.last_log(row))
        return Preflight(
            core.new_id(), head.job_id, head.instance, head.epoch, core.store.store_id,
            core.store.flow(head.flow_digest) or b"", "", [], rows + sum(size for _, size in blobs),
            allow_code_drift, blobs,
        )

    def rows(self) -> set[int]:
        """Give the rows of the jobs of which a move is about to begin."""
        return self._surveys.rows()

    def cancel(self, row: int, reason: str) -> None:
        """Someone wants the move of a job not to begin."""
        self._surveys.cancel(row, reason)

    def document(self, row: int, peer: PeerRow, command: DryRun, finding: Finding) -> dict[str, Any]:
        """Make the document of a dry run.

        Args:
            row: the job's row.
            peer: the target.
            command: what was asked for.
            finding: what came of it.
        """
        core = self._core
        asked = finding.asked
        reasons = list(finding.reasons)
        fsync = 0.0
        try:
            fsync = measure_fsync(core.home.blobs, core.read_clocks)
        except HostUnable as error:
            reasons.append((HostUnable.__name__, f"on host {core.host!r} {error.message}"))
        hello = self._links.hello_of(peer.name)
        bound = command.max_downtime_ms
        local = Local(
            job_id=asked.job_id, host=core.host, to=peer.name, key=peer.public_key,
            connected=self._links.connected(peer.name), protocol=PROTOCOL_VERSIONS,
            protocol_there=None if hello is None else (hello.lowest, hello.highest),
            version=self._version, code=finding.code, allow_code_drift=asked.allow_code_drift,
            rows=asked.size - sum(size for _, size in asked.blobs), blobs=asked.blobs, fsync=fsync,
            changing=finding.changing, actors=self._safe_points.actors(row, command.grace),
            max_downtime=None if bound is None else bound / 1000,
        )
        return survey_document(local, reasons, finding.answer, finding.measured)

    def part_with(self, peer: str, why: str) -> None:
        """A host isn't paired any more: nothing goes to it."""
        self._surveys.part_with(peer, why)

    # --- the supervisor's news ------------------------------------------------------------------------

    def received(self, peer: str, message: SurveyMessage) -> None:
        """Answer what a peer wants to know, or take in what it answers."""
        if isinstance(message, Survey):
            self._answering.received(peer, message)
        else:
            self._surveys.received(peer, message)

    def loaded(self, answer: LoadAnswer) -> bool:
        """Take in that code was looked at; False where it wasn't for a pre-flight."""
        match answer.ticket:
            case SurveyTicket() as ticket:
                self._surveys.loaded(ticket, answer)
            case AnswerTicket() as ticket:
                self._answering.loaded(ticket, answer)
            case _:
                return False
        return True

    def note(self, committed: Round) -> None:
        """A round is on disk: see what it changed of the jobs that are looked at."""
        self._safe_points.note(committed)
        self._surveys.note(committed)

    def link_back(self, peer: str) -> None:
        """A target can be reached again."""
        self._surveys.link_back(peer)

    def tick(self, now: float) -> float | None:
        """Do what is due; give when to be called again (monotonic seconds)."""
        return self._surveys.tick(now)
