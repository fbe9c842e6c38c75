"""`checkpoint()`: what it commits, what is left after it, and how a turn ends there."""

from __future__ import annotations

import contextlib

import pytest

from sojourn.actors.turn import TurnYielded
from sojourn.runtime.values import decode_fields
from sojourn.runtime.wire.actor import Ending, SharedKind
from tests.actors.stage import Stage, attributes, emitted, error_of, progress, written
from tests.actors.steps import Act, Acting, Broken, KeepingActing


def half_way(routine: Acting) -> None:
    """Work in two halves, and say in ``progress`` how far it came."""
    if not routine.progress.get("first"):
        routine.count += 1
        routine.shared.add("halves", 1)
        routine.emit("output", half=1)
        routine.ask("First half done?", slot="answer")
        routine.set_result(first=True)
        routine.progress["first"] = True
        routine.checkpoint()
    routine.count += 10
    routine.shared.add("halves", 1)
    routine.emit("output", half=2)
    routine.set_result(second=True)


def then_fail(routine: Acting) -> None:
    half_way(routine)
    raise Broken


def test_a_checkpoint_commits_everything_since_the_last_commit_point() -> None:
    stage = Stage(Acting())
    stage.run(half_way)
    [first] = stage.around.checkpoints
    assert (first.ending, first.dispatch) == (Ending.CHECKPOINT, stage.last.dispatch)
    assert emitted(first) == [("output", {"half": 1})]
    assert attributes(first) == {"count": 1, "items": [1]}
    assert written(first) == [("halves", SharedKind.ADD, 1)]
    assert progress(first) == {"first": True}
    assert first.result is not None
    assert decode_fields(first.result) == {"first": True}
    assert [question.prompt for question in first.questions] == ["First half done?"]


def test_what_a_checkpoint_committed_is_not_in_the_turns_own_result() -> None:
    stage = Stage(Acting())
    result = stage.run(half_way)
    assert result.ending is Ending.SUCCEEDED
    assert emitted(result) == [("output", {"half": 2})]
    assert attributes(result) == {"count": 11}
    assert written(result) == [("halves", SharedKind.ADD, 1)]
    assert result.result is not None
    assert decode_fields(result.result) == {"second": True}
    assert not result.questions


def test_a_failure_goes_back_to_the_checkpoint_and_the_next_attempt_goes_on_from_it() -> None:
    stage = Stage(Acting())
    failed = stage.run(then_fail)
    assert failed.ending is Ending.FAILED
    assert (failed.emissions, failed.attributes, list(failed.shared)) == ([], {}, [])
    assert failed.progress is None
    assert stage.state == {"count": 1, "items": [1]}

    stage.last.progress = stage.around.checkpoints[0].progress
    result = stage.again(half_way)
    assert len(stage.around.checkpoints) == 1
    assert emitted(result) == [("output", {"half": 2})]
    assert attributes(result) == {"count": 11}
    assert stage.actor.shared.view()["halves"] == b"\x02"


def test_a_turn_that_something_waits_for_ends_at_its_checkpoint() -> None:
    stage = Stage(Acting())
    stage.around.ends_at_checkpoints = True
    unwound: list[bool] = []

    def act(routine: Acting) -> None:
        try:
            half_way(routine)
        finally:
            unwound.append(True)

    result = stage.run(act)
    assert unwound == [True]
    assert result.ending is Ending.YIELDED
    assert (result.emissions, result.attributes) == ([], {})
    assert (list(result.shared), list(result.questions)) == ([], [])
    assert (result.progress, result.result, result.error) == (None, None, None)
    assert stage.state == {"count": 1, "items": [1]}


def test_a_handler_that_catches_every_exception_yields_all_the_same() -> None:
    stage = Stage(Acting())
    stage.around.ends_at_checkpoints = True

    def act(routine: Acting) -> None:
        with contextlib.suppress(Exception):
            half_way(routine)

    assert stage.run(act).ending is Ending.YIELDED


def swallowing(routine: Acting) -> None:
    with contextlib.suppress(BaseException):
        half_way(routine)
    routine.count = 99
    routine.emit("output", too="late")


def swallowing_and_failing(routine: Acting) -> None:
    swallowing(routine)
    raise Broken


def swallowing_and_returning(routine: Acting) -> int:
    swallowing(routine)
    return 7


@pytest.mark.parametrize("act", [swallowing, swallowing_and_failing, swallowing_and_returning])
def test_a_handler_that_swallows_the_end_of_its_turn_adds_nothing_to_it(act: Act) -> None:
    stage = Stage(KeepingActing())
    stage.around.ends_at_checkpoints = True
    result = stage.run(act)
    assert (result.ending, result.emissions, result.attributes) == (Ending.YIELDED, [], {})
    assert stage.state == {"count": 1, "items": [1]}


def test_a_checkpoint_in_a_finally_block_commits_nothing_twice() -> None:
    stage = Stage(Acting())
    stage.around.ends_at_checkpoints = True

    def act(routine: Acting) -> None:
        try:
            routine.emit("output", n=1)
            routine.checkpoint()
        finally:
            routine.checkpoint()

    assert stage.run(act).ending is Ending.YIELDED
    assert [emitted(result) for result in stage.around.checkpoints] == [[("output", {"n": 1})]]


def test_the_exception_that_ends_a_turn_is_no_exception_that_handlers_catch() -> None:
    assert not issubclass(TurnYielded, Exception)


def test_every_checkpoint_of_a_turn_carries_what_is_new_since_the_one_before() -> None:
    stage = Stage(Acting())

    def act(routine: Acting) -> None:
        for page in (1, 2, 3):
            routine.emit("output", page=page)
            routine.progress["page"] = page
            routine.checkpoint()

    result = stage.run(act)
    assert [emitted(point) for point in stage.around.checkpoints] == [
        [("output", {"page": page})] for page in (1, 2, 3)
    ]
    assert [progress(point) for point in stage.around.checkpoints] == [
        {"page": page} for page in (1, 2, 3)
    ]
    assert (result.emissions, result.progress) == ([], None)


def test_a_shared_map_taken_before_a_checkpoint_still_writes_after_it() -> None:
    stage = Stage(Acting(), shared={"pages": [1]})

    def act(routine: Acting) -> None:
        shared = routine.shared
        shared.append("pages", 2)
        routine.checkpoint()
        shared.append("pages", 3)
        routine.emit("output", pages=shared["pages"])

    result = stage.run(act)
    assert written(stage.around.checkpoints[0]) == [("pages", SharedKind.APPEND, 2)]
    assert written(result) == [("pages", SharedKind.APPEND, 3)]
    assert emitted(result) == [("output", {"pages": [1, 2, 3]})]


def test_questions_of_an_attempt_that_runs_again_under_its_number_have_ids_of_their_own() -> None:
    stage = Stage(Acting())
    stage.around.ends_at_checkpoints = True

    def act(routine: Acting) -> None:
        if not routine.progress:
            routine.ask("A?", slot="answer")
            routine.progress["asked"] = ["A"]
            routine.checkpoint()
        routine.ask("B?", slot="answer")

    assert stage.run(act).ending is Ending.YIELDED
    [committed] = stage.around.checkpoints
    stage.last.progress = committed.progress
    result = stage.again(act, charged=False)
    ids = [question.id for question in [*committed.questions, *result.questions]]
    assert [question.prompt for question in result.questions] == ["B?"]
    assert len(set(ids)) == 2


def test_a_checkpoint_in_a_parallel_routine_refuses_changed_attributes() -> None:
    stage = Stage(Acting(), parallel=True)

    def act(routine: Acting) -> None:
        routine.items.append(2)
        routine.checkpoint()

    result = stage.run(act)
    assert stage.around.checkpoints == []
    assert "'items'" in error_of(result)[1]
    assert stage.state == {"count": 0, "items": [1]}


def test_a_class_that_keeps_its_state_keeps_what_came_after_the_checkpoint_too() -> None:
    stage = Stage(KeepingActing())
    result = stage.run(then_fail)
    assert attributes(result) == {"count": 11}
    assert result.emissions == []
