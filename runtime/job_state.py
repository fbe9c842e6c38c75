"""A job's document as its readers have it: ``JobState``, what a client gives.

Checks the document once, when it comes; ``document`` makes one.
"""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec

from sojourn.runtime.document_format import FORMAT, Document, JobPart, RoutinePart, check_document
from sojourn.runtime.errors import DocumentRefused, NotFound
from sojourn.runtime.wire.decoding import FrameDecoder

_JOB = FrameDecoder(msgspec.json.Decoder(JobPart))
_DOCUMENT = FrameDecoder(msgspec.json.Decoder(Document))


class JobState:
    """A job's state at one moment, as its supervisor told it.

    Args:
        document: as ``serialize`` gives it, or its JSON text.

    Raises:
        DocumentRefused: if it is no job state.
    """

    def __init__(self, document: Document | bytes) -> None:
        job = _quickly_checked(document) if isinstance(document, bytes) else None
        if job is None and isinstance(document, bytes):
            document = _parsed(document)
        self._job: JobPart = check_document(document) if job is None else job
        self._told: Document | bytes = document

    @property
    def _document(self) -> Document:
        if isinstance(self._told, bytes):  # most of those that a client gets are never asked for it
            self._told = _parsed(self._told)
        return self._told

    def serialize(self) -> Document:
        """Give the document: a JSON-able dict."""
        return self._document

    @classmethod
    def deserialize(cls, document: object) -> JobState:
        """Read a document.

        Raises:
            DocumentRefused: if it is no job state of a version that is known.
        """
        return cls(cast(Document, document))

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._job.job_id

    @property
    def status(self) -> str:
        """One of queued, running, paused, completed, failed, cancelled, moving, moved, blocked."""
        return self._job.status.value

    @property
    def reason(self) -> str | None:
        """Why it is paused or blocked."""
        return self._job.reason

    @property
    def host(self) -> str:
        """The host that told it."""
        return self._job.host

    @property
    def epoch(self) -> int:
        """How often the job has changed hands, from 1."""
        return self._job.epoch

    @property
    def result(self) -> dict[str, Any]:
        """The fields that routines set as result, in their JSON form."""
        return self._job.result

    @property
    def shared(self) -> dict[str, Any]:
        """The shared map, in JSON form."""
        return self._job.shared

    @property
    def error(self) -> Document | None:
        """Why it failed: type, message, traceback, routine."""
        return cast("Document | None", self._document["error"])

    @property
    def pending(self) -> list[Document]:
        """Pending messages."""
        return cast("list[Document]", self._document["pending"])

    @property
    def waiting(self) -> list[Document]:
        """Open questions."""
        return cast("list[Document]", self._document["waiting"])

    @property
    def history(self) -> list[Document]:
        """Attempts that ended."""
        return cast("list[Document]", self._document["history"])

    @property
    def handoffs(self) -> list[Document]:
        """The job's journeys."""
        return cast("list[Document]", self._document["handoffs"])

    def retry_count(self, routine: str) -> int:
        """Give the retries granted so far: the highest of the routine's pending messages, else of its last.

        Raises:
            NotFound: if the flow has no such routine.
        """
        return self._routine(routine).retry_count

    def state(self, routine: str) -> dict[str, Any]:
        """Give a routine's committed attributes, in their JSON form.

        Raises:
            NotFound: if the flow has no such routine.
        """
        return self._routine(routine).state

    def _routine(self, name: str) -> RoutinePart:
        found = self._job.routines.get(name)
        if found is None:
            known = ", ".join(self._job.routines)
            raise NotFound(
                f"flow {self._job.flow_id!r} of job {self.job_id} has no routine {name!r}: it has {known}"
            )
        return found

    def __repr__(self) -> str:
        return f"<JobState {self.job_id} {self.status} on {self.host} epoch {self.epoch}>"


def _quickly_checked(text: bytes) -> JobPart | None:
    """Read a document's text and check it at once; None where something is the matter with it."""
    try:
        job = _JOB.decode(text)
    except msgspec.DecodeError:
        return None
    return job if job.format == FORMAT else None


def _parsed(text: bytes) -> Document:
    try:
        return _DOCUMENT.decode(text)
    except msgspec.DecodeError:
        pass  # it may hold what JSON is often said to have: NaN, half of a surrogate pair
    try:
        return cast(Document, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise DocumentRefused(f"the job state is no JSON: {error}") from None
