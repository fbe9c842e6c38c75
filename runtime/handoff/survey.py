"""What two hosts know before a hand-off, compared: reasons against it, code, clocks. Pure.

The same reasons refuse a real move before it begins; so whatever can be known before the freeze is said
before it, and all of it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sojourn.runtime.errors import HandoffAborted, Refused, SojournError
from sojourn.runtime.fingerprint import fingerprint
from sojourn.runtime.handoff.source import TWO_OWNERS, is_refusal
from sojourn.runtime.wire.survey import COPY_FORMAT, Code, Surveyed

Reason = tuple[str, str]
"""(kind, sentence): why a job can't move."""

FILES_NAMED = 10
"""Files that differ that a sentence names; ``--dry-run`` lists all."""

class Asked(NamedTuple):
    """When a question was sent, by both clocks of the asking host."""

    wall: float
    monotonic: float


class Timing(NamedTuple):
    """What a question and its answer tell of the way and the clocks, in seconds.

    Attributes:
        round_trip: without what the other host spent on it.
        clock_difference: by how much the other host's clock is ahead.
    """

    round_trip: float
    clock_difference: float


def timing(asked: Asked, answer: Surveyed, received: float) -> Timing:
    """Measure by one exchange, as in NTP (RFC 5905, section 8): both ways are taken to be equally long.

    Args:
        asked: when this host sent the question.
        answer: the answer to it.
        received: monotonic seconds at which that came.
    """
    took = received - asked.monotonic
    way = max(0.0, took - max(0.0, answer.spent))
    return Timing(way, answer.wall - (asked.wall + took - way / 2))


# --- code -------------------------------------------------------------------------------------------


def differing(theirs: Code, ours: Code) -> list[str]:
    """Name the files that differ between two hosts, those that only one of them has included.

    What the other host alone has counts where a routine needs it: it may have loaded more for other flows.

    Args:
        theirs: of the source; without files, nothing is compared.
        ours: of the target.
    """
    if not theirs.files:
        return []
    here, there = dict(ours.files), dict(theirs.files)
    found = {name for name, digest in there.items() if here.get(name) != digest}
    needed = {name for names in ours.routines.values() for name in names}
    return sorted(found | {name for name in needed if name in here and name not in there})


def differing_by_routine(theirs: Code, ours: Code) -> dict[str, list[str]]:
    """Name the files that differ for each routine."""
    files = set(differing(theirs, ours))
    return {
        routine: sorted(files & {*theirs.routines.get(routine, ()), *ours.routines.get(routine, ())})
        for routine in sorted({*theirs.routines, *ours.routines})
    }


def routine_fingerprint(code: Code, routine: str) -> str | None:
    """Give one digest over the files that a routine needs; None where none are known."""
    names = set(code.routines.get(routine, ()))
    return fingerprint(file for file in sorted(code.files) if file[0] in names) if names else None


def code_drift(theirs: Code, ours: Code, host: str) -> str | None:
    """Say that the code on the target differs, and where; None where it doesn't.

    Args:
        theirs: of the source.
        ours: of the target.
        host: the target.
    """
    files = differing(theirs, ours)
    if not files:
        return None
    named = ", ".join(files[:FILES_NAMED])
    if len(files) > FILES_NAMED:
        named += f" and {len(files) - FILES_NAMED} more (`sojourn migrate --dry-run` names all)"
    return (
        f"the code on host {host!r} differs in {named}: bring it to the same state, or move with "
        "--allow-code-drift"
    )


def format_problem(copy_format: int, host: str) -> str | None:
    """Say that this host can't read what the source would send; None where it can."""
    if copy_format == COPY_FORMAT:
        return None
    return (
        f"host {host!r} reads jobs in format {COPY_FORMAT}, and they would come in format {copy_format}: "
        "use versions of sojourn that share one"
    )


# --- reasons ----------------------------------------------------------------------------------------


def joined(reasons: Sequence[Reason]) -> Reason:
    """Make one of several: one sentence, of the kind that all of them have, else of an aborted hand-off.

    Two owners are a matter of their own, beside which nothing else counts.
    """
    for reason in reasons:
        if reason[0] == TWO_OWNERS:
            return reason
    kinds = {kind for kind, _ in reasons}
    kind = kinds.pop() if len(kinds) == 1 else HandoffAborted.__name__
    return kind, "; ".join(sentence for _, sentence in reasons)


def refusal(job_id: str, host: str, reasons: Sequence[Reason]) -> SojournError:
    """Give the error of a move that doesn't begin, with every reason.

    Args:
        job_id: the job.
        host: where it stays.
        reasons: one at least.
    """
    sentences = [sentence for _, sentence in reasons]
    if len(sentences) > 1:
        sentences = [f"({number}) {sentence}" for number, sentence in enumerate(sentences, 1)]
    text = f"job {job_id} stays on host {host!r} and goes on there: {'; '.join(sentences)}"
    return Refused(text) if all(is_refusal(kind) for kind, _ in reasons) else HandoffAborted(text)
