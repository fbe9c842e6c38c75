"""The question before every hand-off, and behind ``--dry-run``: what is against it, and what would it cost?

It begins nothing on either side, and may be asked and answered any number of times.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from sojourn.runtime.wire.handoff import Milliseconds, Preflight

Size = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Clock = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
"""Seconds. Figures for documents: they must be numbers."""

COPY_FORMAT = 1
"""Version of the parts in which a job travels (``runtime.handoff.parts``)."""


class Code(msgspec.Struct):
    """The code that a host runs a flow with.

    Attributes:
        fingerprint: over all files; empty where the host can't load the flow itself.
        files: (path relative to its root, sha256 hex) of what is loaded.
        routines: routine → those of the files that it needs.
    """

    fingerprint: str = ""
    files: list[tuple[str, str]] = []
    routines: dict[str, list[str]] = {}


class Survey(msgspec.Struct, tag="survey"):
    """S asks, with the PREFLIGHT that it would send.

    Attributes:
        number: which asking this is, from 1; the answer names it.
        asked: the PREFLIGHT.
        code: S's own code, by routine.
        copy_format: of the parts that S would send.
        version: of S's software, for people.
        dry_run: whether S only wants to know.
    """

    number: int
    asked: Preflight
    code: Code
    copy_format: int
    version: str
    dry_run: bool


class Surveyed(msgspec.Struct, tag="surveyed"):
    """T answers.

    Attributes:
        m: the hand-off's id.
        number: the asking that it answers.
        reasons: (kind, sentence) of everything that speaks against it; empty for nothing.
        held: (digest, bytes) of the job's blobs that are here.
        code: T's code.
        free_bytes: on the disk of its home.
        needed_bytes: there, for this job.
        fsync_ms: how long a write to that disk takes.
        wall: T's clock when it answered, seconds since the epoch.
        spent: seconds from the question's arrival to the answer.
        copy_formats: lowest and highest format of parts that T reads.
        version: of T's software, for people.
    """

    m: str
    number: int
    reasons: list[tuple[str, str]]
    held: list[tuple[str, Size]]
    code: Code
    free_bytes: Size
    needed_bytes: Size
    fsync_ms: Milliseconds
    wall: Clock
    spent: Clock
    copy_formats: tuple[int, int]
    version: str


SurveyMessage = Survey | Surveyed


def denial(m: str, number: int, reason: tuple[str, str]) -> Surveyed:
    """Give the answer to who may hand nothing over: the reason, and nothing else."""
    return Surveyed(m, number, [reason], [], Code(), 0, 0, 0.0, 0.0, 0.0, (COPY_FORMAT, COPY_FORMAT), "")
