"""The messages of a hand-off (see ``sojourn.runtime.handoff`` for who sends which when)."""

from __future__ import annotations

from typing import Annotated

import msgspec

CHUNK_BYTES = 256 * 1024
"""Largest piece of an image or blob in one message."""

WINDOW_BYTES = 16 * CHUNK_BYTES
"""How many bytes may be on their way unacknowledged."""

MOST_FILES = 100_000
"""Files of a flow's code."""

MOST_BLOBS = 1 << 17
"""Blobs of a job: with more of them it would be larger than any may be."""

MOST_PHASES = 100

BlobSizes = Annotated[list[tuple[str, int]], msgspec.Meta(max_length=MOST_BLOBS)]
"""(digest, bytes) of blobs."""

Milliseconds = Annotated[float, msgspec.Meta(ge=0.0, le=1e12)]
"""A figure for documents: it must be a number."""


class Preflight(msgspec.Struct, tag="preflight"):
    """S asks: would you take this job, can you load its code, do you have the room?

    ``code`` is the source's fingerprint, ``files`` its (path, sha256) list; ``size`` an estimate in bytes;
    ``blobs`` are the (digest, bytes) that the job refers to so far.
    """

    m: str
    job_id: str
    instance: str
    epoch: int
    source_store: str
    flow: bytes
    code: str
    files: Annotated[list[tuple[str, str]], msgspec.Meta(max_length=MOST_FILES)]
    size: int
    allow_code_drift: bool = False
    blobs: BlobSizes = []


class PreflightReady(msgspec.Struct, tag="ready"):
    """T would: its code loads, its processes are forked; ``blobs`` is what it holds: (digest, bytes)."""

    m: str
    blobs: BlobSizes = []


class HandoffRefused(msgspec.Struct, tag="refused"):
    """T won't, at PREFLIGHT or OFFER."""

    m: str
    kind: str
    message: str


class Chunk(msgspec.Struct, tag="chunk"):
    """Piece ``n`` (from 0, over everything that travels) of a blob, or of a part of the image.

    ``blob`` names the blob that it belongs to; None for a part. ``last`` ends either. ``packed``: zstd.
    """

    m: str
    n: int
    data: bytes
    blob: str | None = None
    last: bool = True
    packed: bool = False


class Credit(msgspec.Struct, tag="credit"):
    """T has every piece below ``next_chunk`` on disk and takes ``size`` bytes beyond it."""

    m: str
    next_chunk: int
    size: int


class Waiting(msgspec.Struct, tag="waiting"):
    """S has nothing to send now: it waits for turns in flight, or for the job to change."""

    m: str


class Offer(msgspec.Struct, tag="offer"):
    """The image is whole: ``chunks`` pieces, ``size`` bytes, ``digest`` over all of its parts."""

    m: str
    job_id: str
    instance: str
    epoch: int
    version: int
    digest: str
    source_store: str
    chunks: int
    size: int


class Prepared(msgspec.Struct, tag="prepared"):
    """T holds the image on disk and cast every veto that it had."""

    m: str
    digest: str
    target_store: str
    source_store: str


class Commit(msgspec.Struct, tag="commit"):
    """S let the job go: T owns it at ``epoch + 1``."""

    m: str
    job_id: str
    instance: str
    epoch: int


class Ack(msgspec.Struct, tag="ack"):
    """T owns the job at ``epoch``; repeated until S says that it knows (MEASURED, CLOSED)."""

    m: str
    epoch: int
    source_store: str = ""


class Closed(msgspec.Struct, tag="closed"):
    """S knows that T owns the job: nothing of the hand-off is open any more."""

    m: str


class Superseded(msgspec.Struct, tag="superseded"):
    """S was told by its operator that T is gone for good, and owns the job again, at ``epoch``."""

    m: str
    epoch: int


class Unknown(msgspec.Struct, tag="unknown"):
    """T doesn't know this hand-off, at COMMIT."""

    m: str
    target_store: str


class Abort(msgspec.Struct, tag="abort"):
    """S ends the hand-off and keeps the job."""

    m: str
    reason: str


class Query(msgspec.Struct, tag="query"):
    """T asks how the hand-off ended."""

    m: str
    job_id: str
    instance: str
    epoch: int
    source_store: str


class ActorsStarted(msgspec.Struct, tag="started"):
    """T's actors of the job are active; ``activate_ms`` is how long that took there."""

    m: str
    activate_ms: Milliseconds


class Measured(msgspec.Struct, tag="measured"):
    """S's figures of the hand-off."""

    m: str
    phases_ms: Annotated[dict[str, Milliseconds], msgspec.Meta(max_length=MOST_PHASES)]
    downtime_ms: Milliseconds


HandoffMessage = (
    Preflight | PreflightReady | HandoffRefused | Chunk | Credit | Waiting | Offer | Prepared | Commit
    | Ack | Closed | Superseded | Unknown | Abort | Query | ActorsStarted | Measured
)
