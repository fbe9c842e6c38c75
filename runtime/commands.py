"""What a command may ask of a job: the refusals, each as one sentence, for whoever carries it out.

Looks at a job and says no, or nothing; changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from sojourn.runtime.errors import AmbiguousName, InvalidInput, NotFound, Refused
from sojourn.runtime.flow import SlotSpec
from sojourn.runtime.job import JobHead, JobStatus, QuestionRow
from sojourn.runtime.wire.decoding import FrameDecoder

_FIELDS = FrameDecoder(msgspec.msgpack.Decoder(dict[str, msgspec.Raw]))


def cordoned(host: str) -> str:
    """Say why a host takes no job."""
    return (
        f"host {host!r} is cordoned and takes no new jobs: `sojourn uncordon` on host {host!r} lifts that"
    )


def check_live(head: JobHead, host: str, verb: str) -> None:
    """Check that a job isn't finished.

    Raises:
        Refused: if it is.
    """
    if head.status.finished:
        helps = (
            f"retry {head.job_id}` takes it up again" if head.status is JobStatus.FAILED
            else f"show {head.job_id}` tells how it ended"
        )
        raise Refused(
            f"job {head.job_id} is {head.status.value} on host {host!r}: there is nothing to {verb}; "
            f"`sojourn {helps}"
        )


def check_pause(head: JobHead, host: str) -> None:
    """Check that a job can be paused.

    Raises:
        Refused: if it is finished, or paused already.
    """
    check_live(head, host, "pause")
    if head.held:
        raise Refused(
            f"job {head.job_id} is paused already on host {host!r}: `sojourn resume {head.job_id}` lifts it"
        )


def check_resume(head: JobHead, host: str, status: str, *, asks: bool) -> None:
    """Check that there is a pause to lift.

    Args:
        head: the job.
        host: this host.
        status: what people are told of its status.
        asks: whether it has an open question.

    Raises:
        Refused: if there is none.
    """
    check_live(head, host, "resume")
    if head.held:
        return
    if asks:
        raise Refused(
            f"nobody paused job {head.job_id} on host {host!r}, it waits for an answer: "
            f"`sojourn show {head.job_id}` shows the question, --input JSON answers it"
        )
    raise Refused(
        f"job {head.job_id} is not paused on host {host!r}, but {status}: there is no pause to lift"
    )


def check_retry(head: JobHead, host: str, status: str) -> None:
    """Check that a job can be retried.

    Raises:
        Refused: if it is neither failed nor blocked.
    """
    if head.status not in (JobStatus.FAILED, JobStatus.BLOCKED):
        raise Refused(
            f"job {head.job_id} is {status} on host {host!r}: only a failed or blocked job can be retried"
        )


def find_question(
    questions: Mapping[str, QuestionRow], head: JobHead, host: str, name: str | None
) -> QuestionRow:
    """Find the question that an answer is for.

    Args:
        questions: the open ones.
        head: the job.
        host: this host.
        name: id of the question; None for the only one.

    Raises:
        Refused: if none is open.
        AmbiguousName: if several are and none is named.
        NotFound: if the named one isn't open.
    """
    if not questions:
        raise Refused(
            f"job {head.job_id} on host {host!r} has no open question: "
            f"`sojourn resume {head.job_id}` without --input lifts a pause"
        )
    if name is None:
        if len(questions) > 1:
            raise AmbiguousName(
                f"job {head.job_id} has several open questions ({', '.join(questions)}): name one "
                "with --question"
            )
        return next(iter(questions.values()))
    if name not in questions:
        raise NotFound(
            f"job {head.job_id} has no open question {name!r} (it has {', '.join(questions)})"
        )
    return questions[name]


def given_fields(data: object, more: Mapping[str, Any]) -> dict[str, Any]:
    """Merge fields that were given in two ways; what a caller passes may be anything."""
    if data is not None and not isinstance(data, Mapping):
        raise InvalidInput(
            f"fields are a mapping from names to values, not {type(data).__name__}: write "
            "{'url': ...}, or keyword arguments"
        )
    given: Mapping[str, Any] = data or {}  # pyright: ignore[reportUnknownVariableType]
    return {**given, **more}


def check_fields(data: bytes, slot: SlotSpec | None, what: str) -> None:
    """Check encoded fields against the slot that they are for.

    Raises:
        InvalidInput: naming the field that is missing or too many.
    """
    try:
        names = _FIELDS.decode(data).keys()
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{what} must be named fields: {error}") from None
    if slot is None:
        return
    for name in slot.required:
        if name not in names:
            raise InvalidInput(f"{what} lacks the field {name!r}: give it in --input")
    for name in names:
        if not slot.open and name not in slot.required and name not in slot.optional:
            takes = ", ".join((*slot.required, *slot.optional)) or "no fields"
            raise InvalidInput(f"{what} has a field {name!r}, but the slot takes {takes}")
