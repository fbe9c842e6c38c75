"""What a tester tells of turns and logs."""

from __future__ import annotations

from typing import Any

import msgspec

from sojourn.runtime.wire.actor import TurnError


class LogLine(msgspec.Struct, frozen=True):
    """A line that a routine printed or logged.

    Attributes:
        routine: whose it is.
        message: number of the message that was handled.
        attempt: number of the attempt.
        stream: ``stdout``, ``stderr`` or ``log``.
        text: the line.
    """

    routine: str
    message: int
    attempt: int
    stream: str
    text: str


# Any: fields are the author's own.
class TurnReport(msgspec.Struct, frozen=True):
    """One execution of a handler.

    Attributes:
        routine: whose it is.
        slot: slot that the message is for.
        message: number of the message.
        attempt: number of the attempt.
        outcome: ``succeeded``, ``failed``, ``skipped`` or ``interrupted``, as in the history.
        error: of a failed attempt.
        emitted: (event, fields) that were committed, in order, those of checkpoints included.
        lines: what it printed and logged, whether that was committed or not.
        host: where it ran.
        epoch: epoch of the job there.
        at: virtual seconds since the tester was made, when it began.
        seconds: virtual seconds that it took.
        exception: what its handler raised, to look into; None if it didn't.
    """

    routine: str
    slot: str
    message: int
    attempt: int
    outcome: str
    error: TurnError | None
    emitted: list[tuple[str, dict[str, Any]]]
    lines: list[str]
    host: str
    epoch: int
    at: float
    seconds: float
    exception: BaseException | None = None
