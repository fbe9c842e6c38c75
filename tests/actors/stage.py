"""Where tests run single turns: a real actor of a real flow, in surroundings that keep all they get."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import pytest

from sojourn import ErrorHandler, Flow, InvalidFlow, Routine
from sojourn.actors.actor import Actor
from sojourn.actors.classes import LoadedClasses
from sojourn.actors.loading import LoadedRoutine, load_routine
from sojourn.actors.tester.blobs import MemoryBlobs as MemoryBlobs
from sojourn.actors.turn import run_turn
from sojourn.runtime.values import decode, decode_fields, encode, encode_fields
from sojourn.runtime.wire.actor import JobContext, Result, SharedKind, Turn
from tests.actors.steps import Act, Sink

JOB = 1


def classes_of_tests() -> LoadedClasses:
    """Allow what an operator would have allowed here."""
    return LoadedClasses(lambda module: module.startswith("tests."))


def loaded(
    routine: Routine, *, parallel: bool = False, error_handler: ErrorHandler | None = None
) -> LoadedRoutine:
    """Put a routine into a flow and load it from there."""
    flow = Flow("stage", entry="elsewhere")
    flow.add_routine(Sink(), "elsewhere")
    flow.add_routine(routine, "acting", parallel=parallel, error_handler=error_handler)
    return load_routine(flow.freeze(), "acting", classes_of_tests())


class Around:
    """The surroundings of the turns of a test."""

    def __init__(self) -> None:
        self.checkpoints: list[Result] = []
        self.lines: list[str] = []
        self.ends_at_checkpoints = False
        self.left: float | None = None
        self.results = 0

    def checkpoint(self, result: Result) -> bool:
        """Commit in memory."""
        self.checkpoints.append(result)
        return self.ends_at_checkpoints

    def should_yield(self) -> bool:
        """Tell whether the turn is to end."""
        return self.ends_at_checkpoints

    def time_left(self) -> float | None:
        """Give the seconds that are left."""
        return self.left

    def log(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)

    def result_number(self) -> int:
        """Count the results of all turns."""
        return self.results + len(self.checkpoints) + 1


class Stage:
    """One actor and its turns.

    Args:
        routine: what it runs.
        parallel: as in ``add_routine``.
        error_handler: as in ``add_routine``.
        attributes: what is committed of the actor.
        shared: the job's committed shared map.
        blobs: where large values go.
    """

    def __init__(
        self,
        routine: Routine,
        *,
        parallel: bool = False,
        error_handler: ErrorHandler | None = None,
        attributes: Mapping[str, object] | None = None,
        shared: Mapping[str, object] | None = None,
        blobs: MemoryBlobs | None = None,
    ) -> None:
        context = JobContext(
            JOB, "job-7", "instance", 1,
            None if attributes is None else {n: encode(v) for n, v in attributes.items()},
            {key: encode(value) for key, value in (shared or {}).items()},
            True,
        )
        self.around = Around()
        self.actor = Actor(
            loaded(routine, parallel=parallel, error_handler=error_handler), context, blobs
        )
        self.last = Turn(0, JOB, 0, "input", 1, b"")

    @property
    def state(self) -> dict[str, object]:
        """The instance's public attributes."""
        return {name: value for name, value in vars(self.actor.instance).items() if name[0] != "_"}

    def run(self, act: Act | None = None, slot: str = "input", /, **fields: object) -> Result:
        """Run the first attempt at a new message."""
        message = self.last.message + 1
        data = encode_fields(fields, where="the message")
        return self._attempt(act, Turn(self.last.dispatch + 1, JOB, message, slot, 1, data))

    def again(self, act: Act | None = None, *, charged: bool = True) -> Result:
        """Run another attempt at the same message; under the same number if none was charged."""
        last = self.last
        attempt = last.attempt + charged
        return self._attempt(
            act, Turn(last.dispatch + 1, JOB, last.message, last.slot, attempt, last.data, last.progress)
        )

    def _attempt(self, act: Act | None, turn: Turn) -> Result:
        if act is not None:
            vars(self.actor.instance)["_act"] = act
        self.last = turn
        result = run_turn(self.actor, turn, self.around, time.time())
        self.around.results += 1
        if result.progress is not None:
            turn.progress = result.progress
        return result


def emitted(result: Result) -> list[tuple[str, dict[str, object]]]:
    """Give what a result emits, decoded."""
    return [(event, decode_fields(data, classes_of_tests())) for event, data in result.emissions]


def attributes(result: Result) -> dict[str, object]:
    """Give the attributes that a result commits, decoded; None for deleted ones too."""
    return {
        name: None if data is None else decode(data, classes_of_tests())
        for name, data in result.attributes.items()
    }


def written(result: Result) -> list[tuple[str, SharedKind, object]]:
    """Give the shared writes of a result, decoded."""
    return [(key, kind, decode(operand)) for key, kind, operand in result.shared]


def progress(result: Result) -> dict[str, object] | None:
    """Give the progress that a result commits, decoded; None where it didn't change."""
    return None if result.progress is None else decode_fields(result.progress)


def error_of(result: Result) -> tuple[str, str, bool]:
    """Give type, message and retryability of a failed attempt's error."""
    assert result.error is not None
    return result.error.type, result.error.message, result.error.retryable


def refusal(act: Callable[[], object]) -> str:
    """Give the sentence with which something is refused where a flow is defined."""
    with pytest.raises(InvalidFlow) as refused:
        act()
    assert "\n" not in refused.value.message
    return refused.value.message


def raising(error: BaseException) -> Act:
    """Give a handler that fails."""

    def act(_routine: Routine) -> None:
        raise error

    return act


def nothing(_routine: Routine) -> None:
    """Do nothing."""
