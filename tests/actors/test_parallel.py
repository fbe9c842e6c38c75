"""Turns of a parallel routine: attributes are read-only, everything else works."""

from __future__ import annotations

from typing import Any

import pytest

from sojourn import Routine
from sojourn.runtime.wire.actor import Ending
from tests.actors.stage import (
    MemoryBlobs,
    Stage,
    emitted,
    error_of,
)
from tests.actors.steps import Act, Acting

CHANGES: list[Act] = [
    lambda r: setattr(r, "count", 5),
    lambda r: setattr(r, "stray", 5),
    lambda r: delattr(r, "count"),
    lambda r: r.items.append(2),
    lambda r: r.__dict__.__delitem__("count"),
    lambda r: r.__dict__.update(count=5),
]


@pytest.mark.parametrize("turns_before", [0, 1])
@pytest.mark.parametrize(
    "act", CHANGES, ids=["assign", "assign new", "delete", "mutate", "delete below", "assign below"]
)
def test_a_parallel_routines_attributes_are_read_only_in_its_turns(act: Any, turns_before: int) -> None:
    stage = Stage(Acting(), parallel=True)
    for _ in range(turns_before):
        assert stage.run(lambda routine: None).ending is Ending.SUCCEEDED
    result = stage.run(act)
    assert result.ending is Ending.FAILED
    _, message, _ = error_of(result)
    assert "self.progress" in message
    assert "self.shared" in message
    assert result.attributes == {}
    assert stage.state == {"count": 0, "items": [1]}


def test_a_parallel_routine_may_set_private_and_transient_attributes() -> None:
    stage = Stage(Acting(), parallel=True)

    def act(routine: Any) -> None:
        routine._cache = {1: 2}  # noqa: SLF001 - as the author's own handler would
        routine.made_anew = object()
        routine.shared.add("n", 1)
        routine.emit("output", own=type(routine).__qualname__)

    result = stage.run(act)
    assert result.ending is Ending.SUCCEEDED
    assert emitted(result) == [("output", {"own": "Acting"})]


def test_a_parallel_routine_with_a_large_attribute_is_not_taken_for_one_that_changed_it() -> None:
    stage = Stage(LargeHolder(), parallel=True, blobs=MemoryBlobs())
    for _ in range(2):
        assert stage.run().ending is Ending.SUCCEEDED


class LargeHolder(Routine):
    def __init__(self) -> None:
        self.table = b"\7" * 100_000

    def process(self) -> None:
        """Do nothing."""


def test_assigning_in_a_parallel_turn_is_an_attribute_error() -> None:
    stage = Stage(Acting(), parallel=True)

    def act(routine: Acting) -> None:
        with pytest.raises(AttributeError, match=r"self\.progress.*self\.shared"):
            routine.count = 5

    assert stage.run(act).ending is Ending.SUCCEEDED
