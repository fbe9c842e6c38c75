"""For users' tests: run one turn of a routine in this process, without supervisor or disk."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from sojourn.actors.actor import Actor
from sojourn.actors.classes import AnyLoadedClass
from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.ports import events_of, slots_of
from sojourn.actors.routine import Routine, state_names
from sojourn.actors.turn import run_turn as run_one
from sojourn.runtime.errors import InvalidFlow
from sojourn.runtime.flow import HandlerSpec, RoutineSpec
from sojourn.runtime.values import class_path, decode_fields, encode_fields
from sojourn.runtime.wire.actor import JobContext, Result, Turn, TurnError


# Any: states and fields are the author's own.
class TurnResult(msgspec.Struct):
    """What a turn did.

    Attributes:
        emitted: (event, fields), in order, those of checkpoints included.
        state: public attributes after the turn; after a failure, as they were before.
        error: type, message and traceback of a failed attempt; None if it succeeded.
        progress: the message's progress dict after the turn.
        result: fields given to ``set_result``.
        questions: (slot, prompt) of questions asked.
    """

    emitted: list[tuple[str, dict[str, Any]]]
    state: dict[str, Any]
    error: TurnError | None
    progress: dict[str, Any]
    result: dict[str, Any]
    questions: list[tuple[str, str]]


class _InProcess:
    """Surroundings without a supervisor: every checkpoint is granted."""

    def __init__(self) -> None:
        self.commits: list[Result] = []
        self.lines: list[str] = []

    def checkpoint(self, result: Result) -> bool:
        self.commits.append(result)
        return False

    def should_yield(self) -> bool:
        return False

    def time_left(self) -> float | None:
        return None

    def log(self, text: str) -> None:
        self.lines.append(text)

    def result_number(self) -> int:
        return len(self.commits) + 1


def run_turn(routine: Routine, slot: str = "input", /, **data: Any) -> TurnResult:
    """Run one attempt of a routine at one message, as an actor process would.

    Args:
        routine: an instance; its attributes change as a turn would change them.
        slot: which slot the message is for.
        **data: the message's fields.

    Returns:
        What the turn did.

    Raises:
        ValueNotEncodable: if the fields can't be stored.
        InvalidFlow: if the routine has no such slot.
    """
    cls = type(routine)
    slots = slots_of(cls)
    if slot not in slots:
        raise InvalidFlow(f"{cls.__qualname__} has no slot {slot!r} (it has {', '.join(slots)})")
    loaded = LoadedRoutine(
        spec=RoutineSpec(cls.__name__, class_path(cls), b"", (), ()),
        cls=cls, slots=slots,
        events={event.name: event.fields for event in events_of(cls)},
        handler=HandlerSpec(), retryable=(Exception,), non_retryable=(), classes=AnyLoadedClass(),
    )
    activate = getattr(routine, "activate", None)
    if activate is not None:
        activate()
    actor = Actor(loaded, JobContext(1, "test", "test", 1, None, {}, True), None, instance=routine)
    turn = Turn(1, 1, 1, slot, 1, encode_fields(data, where="the message"))
    around = _InProcess()
    final = run_one(actor, turn, around, time.time())
    results = [*around.commits, final]
    classes = loaded.classes
    progress = next((r.progress for r in reversed(results) if r.progress is not None), None)
    outcome: dict[str, Any] = {}
    for result in results:
        if result.result is not None:
            outcome.update(decode_fields(result.result, classes))
    return TurnResult(
        emitted=[
            (event, decode_fields(fields, classes))
            for result in results for event, fields in result.emissions
        ],
        state={name: getattr(routine, name) for name in state_names(routine)},
        error=final.error,
        progress={} if progress is None else decode_fields(progress, classes),
        result=outcome,
        questions=[(q.slot, q.prompt) for result in results for q in result.questions],
    )
