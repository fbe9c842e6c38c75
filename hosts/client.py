"""The Python client: the same verbs as the command line, fed by events and not by polling."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from sojourn.hosts.connection import Connection
from sojourn.hosts.files import read_file, write_document
from sojourn.hosts.home import Home
from sojourn.hosts.moving import JobName, Moving
from sojourn.runtime.commands import given_fields
from sojourn.runtime.document_image import image_from_document
from sojourn.runtime.errors import JobFailed, ProtocolViolation, UsageError
from sojourn.runtime.export import export_document
from sojourn.runtime.flow import FlowLike, FlowSpec, encode_flow
from sojourn.runtime.job_state import JobState
from sojourn.runtime.values import Encoder, encode_fields
from sojourn.runtime.wire import client as wire

BATCH_BYTES = 32 * 1024 * 1024
"""Encoded inputs in one request."""

BATCH_JOBS = 10_000
"""Jobs in one request: as many more than its bound a host may have to take."""


# Any: inputs, states and results are the author's own.
class Client(Moving):
    """A client of the supervisor of one home. Not thread-safe: use one per thread.

    Args:
        home: the home directory; None for ``SOJOURN_HOME`` or ``~/.sojourn``.
        host: host that shall do what is asked; None for the supervisor's own.

    Raises:
        NoSupervisor: if none runs there.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None, *, host: str | None = None) -> None:
        chosen = Home.choose(None if home is None else os.fspath(home))
        self._connection = Connection(chosen, host=host or os.environ.get("SOJOURN_HOST"))
        self._thread = threading.get_ident()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; jobs go on."""
        self._connection.close()

    def _ask(self, command: wire.Command) -> dict[str, Any]:
        self._check_thread()
        return self._connection.request(command)

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise UsageError("a Client belongs to the thread that made it: make one per thread")

    # --- submitting ---------------------------------------------------------------------------

    def submit(
        self,
        flow: FlowLike | str,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        job_id: str | None = None,
        priority: int = 0,
        **input: Any,
    ) -> str:
        """Start a job.

        Args:
            flow: a flow, or ``MODULE:ATTR`` as the host finds it.
            data: fields for the entry's slot ``input``.
            job_id: its id; the same id with the same flow and input is the same job.
            priority: from -3 to 3; jobs of the same flow with a higher one go first.
            **input: more fields.

        Returns:
            The job's id, once the job is durable; that takes its time where too many wait already.

        Raises:
            InvalidInput: if the fields don't fit the entry.
            ValueNotEncodable: if a field can't be stored.
            Refused: if the id is taken.
        """
        return self.submit_many(flow, [given_fields(data, input)], job_ids=[job_id], priority=priority)[0]

    def submit_many(
        self,
        flow: FlowLike | str,
        inputs: Iterable[Mapping[str, Any]],
        *,
        job_ids: Sequence[str | None] | None = None,
        priority: int = 0,
    ) -> list[str]:
        """Start many jobs of one flow, in one round trip per batch of 10,000 or 32 MiB.

        Args:
            flow: a flow, or ``MODULE:ATTR``.
            inputs: fields, one mapping per job.
            job_ids: their ids, in the same order; None for generated ones.
            priority: as of ``submit``.

        Returns:
            The ids, in order.

        Raises:
            UsageError: if there are more or fewer ids than inputs.
            SojournError: as ``submit``; then nothing of the batch was started.
        """
        encode = Encoder().encode_fields
        encoded = [encode(given_fields(fields, {}), where="input") for fields in inputs]
        ids: list[str | None] = [None] * len(encoded) if job_ids is None else list(job_ids)
        if len(ids) != len(encoded):
            raise UsageError(f"there are {len(ids)} job ids for {len(encoded)} inputs: give one for each")
        locator, spec = (flow, None) if isinstance(flow, str) else (None, encode_flow(_frozen(flow)))
        found: list[str] = []
        for some_ids, some_inputs in _batches(ids, encoded):
            found += self._ask(wire.Submit(locator, spec, some_inputs, some_ids, priority))["job_ids"]
        return found

    # --- looking ------------------------------------------------------------------------------

    def jobs(self) -> list[dict[str, Any]]:
        """List the jobs that the host knows."""
        found: list[dict[str, Any]] = self._ask(wire.Jobs())["jobs"]
        return found

    def show(
        self, job: JobName, *, history: int = 100, after: int | None = None, follow: bool = False
    ) -> JobState:
        """Give a job's state.

        Args:
            job: its id or a unique prefix.
            history: how many entries of its history.
            after: give those after this sequence number; None for the last ones.
            follow: of a job that moved away, give the state where it is now; else what was kept here.
        """
        return JobState(self._ask(wire.Show(job, history, after, follow=follow)))

    def wait(
        self, job: JobName, *, until: str | None = None, timeout: float | None = None
    ) -> JobState:
        """Wait until a job has ended, or a condition holds. Never raises for a failed job.

        Args:
            job: its id or a unique prefix.
            until: a condition like ``failing.retry_count >= 2``.
            timeout: seconds.

        Raises:
            TimeoutError: after ``timeout`` (a ``WaitTimedOut``).
        """
        return self._wait(wire.Wait([job], until, timeout))[0]

    def wait_all(
        self, jobs: Sequence[JobName], *, timeout: float | None = None
    ) -> list[JobState]:
        """Wait until all of several jobs have ended.

        Args:
            jobs: ids or unique prefixes.
            timeout: seconds for all of them together.

        Raises:
            TimeoutError: after ``timeout``.
        """
        if not jobs:
            return []
        return self._wait(wire.Wait(list(jobs), None, timeout))

    def _wait(self, command: wire.Wait) -> list[JobState]:
        found: list[JobState] = []

        def take(body: bytes) -> None:
            part = _documents(body, len(found))
            del found[part.at :]  # the answer begins anew where it had to be asked for again
            found.extend(JobState(bytes(document)) for document in part.jobs)

        self._check_thread()
        take(self._connection.exchange(command, take))
        return found

    def result(self, job: JobName, *, timeout: float | None = None) -> dict[str, Any]:
        """Wait for a job and give its result, in JSON form.

        Raises:
            JobFailed: if it failed or was cancelled.
            TimeoutError: after ``timeout``.
        """
        state = self.wait(job, timeout=timeout)
        if state.status != "completed":
            error = state.error
            why = f": {error['type']}: {error['message']}" if error else ""
            raise JobFailed(
                f"job {state.job_id} {state.status} on host {state.host!r}{why}; "
                f"`sojourn show {state.job_id}` tells more"
            )
        return state.result

    # --- acting -------------------------------------------------------------------------------

    def pause(self, job: JobName) -> None:
        """Pause a job; returns once no turn of it is in flight."""
        self._ask(wire.Pause(job))

    def resume(
        self,
        job: JobName,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        question: str | None = None,
        **input: Any,
    ) -> None:
        """Lift a pause, or with fields answer an open question.

        Args:
            job: its id or a unique prefix.
            data: fields of the answer.
            question: which question, where several are open.
            **input: more fields.
        """
        answer: bytes | None = None
        if data is not None or input:
            answer = encode_fields(given_fields(data, input), where="the answer")
        self._ask(wire.Resume(job, answer, question))

    def cancel(self, job: JobName) -> None:
        """Cancel a job; returns once it is."""
        self._ask(wire.Cancel(job))

    def retry(self, job: JobName) -> None:
        """Give a failed job's messages a fresh budget, or take a blocked job up again."""
        self._ask(wire.Retry(job))

    def forget(self, job: JobName) -> None:
        """Delete a finished job."""
        self._ask(wire.Forget(job))

    # --- files --------------------------------------------------------------------------------

    def preflight(
        self,
        job: JobName,
        to: str,
        *,
        grace: float | None = None,
        allow_code_drift: bool = False,
        max_downtime_ms: float | None = None,
    ) -> dict[str, Any]:
        """Say what would speak against a move and what it would cost; nothing is moved.

        Args:
            job: its id or a unique prefix.
            to: the host.
            grace: as of ``migrate``, and so are the others.
            allow_code_drift: whether different code over there is accepted.
            max_downtime_ms: milliseconds that the job may be frozen for.

        Returns:
            The document of ``sojourn migrate --dry-run -o json``: ``would_move``, ``reasons``, ``code``,
            ``disk``, ``clock``, ``bytes``, ``downtime``, ``actors`` and more.
        """
        return self._ask(wire.DryRun(job, to, grace, allow_code_drift, max_downtime_ms))

    def export(
        self, job: JobName, file: str | os.PathLike[str], *, release: bool = False,
        to: str | None = None,
    ) -> None:
        """Write a job into a file.

        Args:
            job: its id or a unique prefix.
            file: where to.
            release: whether the job is let go with the file, for host ``to`` alone.
            to: that host.
        """
        path = Path(file).absolute()
        if release != (to is not None):
            raise UsageError("an export with release needs the host that may take it, and only then")
        if to is not None:
            self._ask(wire.Export(job, str(path), to))
            return
        write_document(path, self._ask(wire.Export(job))["document"])

    def import_file(self, file: str | os.PathLike[str]) -> str:
        """Take a job from a file.

        Returns:
            The job's id here.

        Raises:
            DocumentRefused: if the file is damaged or of a newer format.
            Refused: if it was released for another host.
        """
        job_id: str = self._ask(wire.Import(read_file(Path(file))))["job_id"]
        return job_id

    def resume_document(self, flow: FlowLike | FlowSpec, job_state: JobState | dict[str, Any]) -> str:
        """Go on from a flow and a job state: a new job, like an import without release.

        Args:
            flow: the flow that the job belongs to.
            job_state: its state, complete.

        Returns:
            The new job's id.
        """
        spec = flow if isinstance(flow, FlowSpec) else _frozen(flow)
        document = job_state.serialize() if isinstance(job_state, JobState) else job_state
        image = image_from_document(document, spec)
        file = export_document(image, spec, host=str(document.get("host", "")), now=0.0, blobs={})
        job_id: str = self._ask(wire.Import(json.dumps(file).encode()))["job_id"]
        return job_id


def _documents(body: bytes, known: int) -> wire.Documents:
    """Read a part of the answer to a wait, of which so many documents are known."""
    try:
        part = wire.decode_documents(body)
    except msgspec.DecodeError as error:
        raise ProtocolViolation(f"the supervisor's answer to a wait is none: {error}") from error
    if part.at > known:
        raise ProtocolViolation(f"the supervisor's answer to a wait lacks documents from {known} on")
    return part


def _batches(
    ids: list[str | None], inputs: list[bytes]
) -> Iterator[tuple[list[str | None], list[bytes]]]:
    """Cut a long submit into requests that a supervisor accepts."""
    start = size = 0
    for place, data in enumerate(inputs):
        if place > start and (place - start >= BATCH_JOBS or size + len(data) > BATCH_BYTES):
            yield ids[start:place], inputs[start:place]
            start, size = place, 0
        size += len(data)
    if start < len(inputs):
        yield ids[start:], inputs[start:]


def _frozen(flow: object) -> FlowSpec:
    if not isinstance(flow, FlowLike):
        raise UsageError(f"a flow is a sojourn.Flow or text MODULE:ATTR, not {type(flow).__name__}")
    return flow.freeze()
