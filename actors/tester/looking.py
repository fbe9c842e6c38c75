"""What a test sees of its job: the document, parts of it, and what the handlers did. Changes nothing."""

from __future__ import annotations

from typing import Any

from sojourn.actors.tester.host import ROW
from sojourn.actors.tester.reports import LogLine, TurnReport
from sojourn.actors.tester.running import Running
from sojourn.runtime.document import JobState, Presentation, job_document, shown_status
from sojourn.runtime.document_format import Document
from sojourn.runtime.errors import NotFound, Refused, UsageError
from sojourn.runtime.values import decode


# Any: states are the author's own.
class Looking:
    """The half of a tester that looks.

    Args:
        running: the job on its way.
    """

    def __init__(self, running: Running) -> None:
        self._running = running
        self._submitted = False

    @property
    def job(self) -> JobState:
        """The job's state: the document of ``sojourn show -o json``, with the whole history."""
        self._require_job()
        host = self._running.host
        image = host.ledger.image(ROW)
        total = host.ledger.history_total(ROW)
        shown = Presentation(host=host.name, now=host.clock.wall, history_total=total)
        return JobState(job_document(image, host.plan.spec, shown))

    @property
    def status(self) -> str:
        """The job's status."""
        self._require_job()
        return shown_status(self._running.host.head)

    @property
    def history(self) -> list[Document]:
        """Every attempt that ended, as in the document."""
        return self.job.history

    def outcomes(self, routine: str | None = None) -> list[str]:
        """Give the outcomes of attempts, in order.

        Args:
            routine: of which routine; None for all.

        Raises:
            NotFound: if the flow has no such routine.
        """
        if routine is not None:
            self._require_routine(routine, NotFound)
        return [entry["outcome"] for entry in self.history if routine in (None, entry["routine"])]

    def attributes(self, routine: str) -> dict[str, Any]:
        """Give a routine's committed attributes, as Python values.

        Raises:
            NotFound: if the flow has no such routine.
        """
        self._require_job()
        self._require_routine(routine, NotFound)
        image = self._running.host.ledger.image(ROW, history=False, logs=False)
        return {
            row.name: self._decode(row.value) for row in image.attributes if row.routine == routine
        }

    @property
    def shared(self) -> dict[str, Any]:
        """The shared map, as Python values."""
        self._require_job()
        image = self._running.host.ledger.image(ROW, history=False, logs=False)
        return {row.key: self._decode(row.value) for row in image.shared}

    @property
    def turns(self) -> list[TurnReport]:
        """Every execution of a handler so far, in order."""
        return self._running.reports

    @property
    def logs(self) -> list[LogLine]:
        """The job's log: what routines printed and logged, in order."""
        self._require_job()
        return [
            LogLine(line.routine, line.message, line.attempt, line.stream, line.text)
            for line in self._running.host.ledger.image(ROW, history=False).logs
        ]

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the tester was made."""
        return self._running.host.clock.elapsed

    def _decode(self, data: bytes) -> object:
        return decode(data, self._running.classes, self._running.host.blobs)

    def _require_job(self) -> None:
        if not self._submitted:
            raise Refused("nothing was submitted yet: call submit(...) first")

    def _require_routine(self, name: str, error: type[NotFound] | type[UsageError]) -> None:
        plan = self._running.host.plan
        if name not in plan.routines:
            raise error(
                f"flow {plan.spec.id!r} has no routine {name!r} (it has {', '.join(plan.routines)})"
            )
