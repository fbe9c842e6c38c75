"""Messages between a supervisor and an actor process (ZeroMQ ROUTER/DEALER over ipc).

Values of users are bytes here (see ``sojourn.runtime.values``); only the actor process looks inside.
A dispatch id is unique within a supervisor's run and rises with every message handed to any process.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import msgspec

from sojourn.runtime.job import Time
from sojourn.runtime.wire.decoding import FrameDecoder


class Ending(IntEnum):
    """How an attempt came back from the actor process."""

    SUCCEEDED = 0
    FAILED = 1
    YIELDED = 2
    """The turn ended at a checkpoint because the supervisor asked it to; no attempt is charged."""
    CHECKPOINT = 3
    """Not an end: effects up to a commit point in the middle of an attempt that goes on."""
    HINDERED = 4
    """The host's disk failed the turn, as ``error`` says; no attempt is charged, and the job is blocked."""


class SharedKind(IntEnum):
    """How one write changes a key of the job's shared map."""

    SET = 0
    DELETE = 1
    ADD = 2
    APPEND = 3


class Turn(msgspec.Struct, array_like=True, gc=False):
    """One message handed to an actor process for one attempt.

    Attributes:
        dispatch: id of this handing-over.
        job: row number of the job in the store.
        message: number of the message in its job.
        slot: the slot that it is for.
        attempt: number of this attempt, from 1.
        data: encoded fields.
        progress: the message's encoded progress dict, or None while it is empty.
    """

    dispatch: int
    job: int
    message: int
    slot: str
    attempt: int
    data: bytes
    progress: bytes | None = None


class JobContext(msgspec.Struct, array_like=True):
    """What a process needs to know of a job before the turns behind it in the same batch.

    Attributes:
        job: row number of the job.
        job_id: the job's id.
        instance: the job's instance UUID; a turn's id is ``instance:message``.
        epoch: how often the job has changed hands.
        attributes: the actor's committed attributes, encoded one by one; None where the process that
            ran this actor before still has them.
        shared: the shared map's changed keys; None as value means that the key was deleted.
        shared_whole: whether ``shared`` is the whole map and not a difference.
    """

    job: int
    job_id: str
    instance: str
    epoch: int
    attributes: dict[str, bytes] | None
    shared: dict[str, bytes | None]
    shared_whole: bool


class Dispatch(msgspec.Struct, array_like=True, tag=0):
    """A batch of turns.

    ``acknowledged`` counts the results of this process, checkpoints included, that are committed: what
    follows contains their shared writes, so the process may drop its own copies of them.
    """

    acknowledged: int
    contexts: list[JobContext]
    turns: list[Turn]


class Recall(msgspec.Struct, array_like=True, tag=1):
    """Give back every message of the job (None: of all jobs) that has not begun."""

    recall: int
    job: int | None


class Yield(msgspec.Struct, array_like=True, tag=2):
    """Turns of the job shall end at their next checkpoint.

    ``time_left`` is in seconds until the process is killed; ``job`` None means all jobs.
    """

    job: int | None
    time_left: float | None


class Unyield(msgspec.Struct, array_like=True, tag=3):
    """The interruption announced by Yield was called off."""

    job: int | None


class Committed(msgspec.Struct, array_like=True, tag=4):
    """The checkpoint of this dispatch is durable; ``yield_now`` ends the turn there."""

    dispatch: int
    yield_now: bool


class Forget(msgspec.Struct, array_like=True, tag=5):
    """Drop every actor of these jobs (row numbers): they ended, moved or lost their place here."""

    jobs: list[int]


class Stop(msgspec.Struct, array_like=True, tag=6):
    """Exit once the current turn has ended."""


ToActor = Dispatch | Recall | Yield | Unyield | Committed | Forget | Stop


class TurnError(msgspec.Struct, array_like=True):
    """A failed attempt's exception.

    Attributes:
        type: the class's bare name, for people.
        message: ``str()`` of it.
        traceback: formatted, bounded; empty in records that carry none.
        retryable: whether it passes the error handler's filters (matched by class in the process).
        after: seconds that ``RetryLater`` asked for.
    """

    type: str
    message: str
    traceback: str = ""
    retryable: bool = True
    after: float | None = None


class Question(msgspec.Struct, array_like=True):
    """A question asked in a turn; ``timeout`` in seconds from the commit, None waits for ever."""

    id: str
    slot: str
    prompt: str
    timeout: float | None


class Result(msgspec.Struct, array_like=True, gc=False):
    """What an attempt (or a checkpoint in it) leaves behind.

    Attributes:
        dispatch: the id under which the message was handed over.
        ending: how it came back.
        started: wall clock at the attempt's begin, seconds since the epoch.
        ended: wall clock at its end.
        emissions: (event, encoded fields), in order, since the last commit point.
        attributes: encoded attributes whose bytes changed since the last commit point; None: deleted.
        shared: (key, kind, encoded operand) in order.
        progress: the encoded progress dict if it changed; an empty dict's encoding clears it.
        result: encoded fields for the job's result, merged key by key.
        questions: questions asked.
        error: of a failed attempt.
        blobs: (digest, size) of every blob file newly referenced by the fields above.
    """

    dispatch: int
    ending: Ending
    started: Time
    ended: Time
    emissions: list[tuple[str, bytes]] = []
    attributes: dict[str, bytes | None] = {}
    shared: Sequence[tuple[str, SharedKind, bytes]] = ()
    progress: bytes | None = None
    result: bytes | None = None
    questions: Sequence[Question] = ()
    error: TurnError | None = None
    blobs: Sequence[tuple[str, int]] = ()


class LogLine(msgspec.Struct, array_like=True):
    """A line that a routine printed or logged, with the turn that it belongs to.

    ``stream`` is ``stdout``, ``stderr`` or ``log``; ``at`` is wall clock in seconds.
    """

    job: int
    message: int
    attempt: int
    at: Time
    stream: str
    text: str


class Ready(msgspec.Struct, array_like=True, tag=0):
    """First message of a process: it can take turns; ``code`` is its code fingerprint."""

    pid: int
    code: str


class Results(msgspec.Struct, array_like=True, tag=1):
    """A batch of results and of the lines logged meanwhile."""

    results: list[Result]
    logs: list[LogLine] = []


class Recalled(msgspec.Struct, array_like=True, tag=2):
    """Answer to Recall: what was taken back, and what is running (None: nothing of that job).

    It follows, in the same stream, every result that was finished before.
    """

    recall: int
    dispatches: list[int]
    running: int | None


class ReturnedUnbegun(msgspec.Struct, array_like=True, tag=3):
    """Messages given back unasked: an attempt before them failed, and order or STOP forbids going on."""

    dispatches: list[int]


FromActor = Ready | Results | Recalled | ReturnedUnbegun

_ENCODER = msgspec.msgpack.Encoder()
_TO_ACTOR: FrameDecoder[ToActor] = FrameDecoder(msgspec.msgpack.Decoder(ToActor))
_FROM_ACTOR: FrameDecoder[FromActor] = FrameDecoder(msgspec.msgpack.Decoder(FromActor))


def encode(message: ToActor | FromActor) -> bytes:
    """Encode a message of either direction."""
    return _ENCODER.encode(message)


def decode_to_actor(frame: bytes | memoryview) -> ToActor:
    """Decode a frame that a supervisor sent.

    Raises:
        msgspec.DecodeError: if it is none.
    """
    return _TO_ACTOR.decode(frame)


def decode_from_actor(frame: bytes | memoryview) -> FromActor:
    """Decode a frame that an actor process sent.

    Raises:
        msgspec.DecodeError: if it is none.
    """
    return _FROM_ACTOR.decode(frame)
