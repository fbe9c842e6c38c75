"""What one attempt leaves behind, by the result that it makes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sojourn import ErrorHandler, ErrorStrategy, GiveUp, RetryLater
from sojourn.runtime.values import decode_fields
from sojourn.runtime.wire.actor import Ending
from tests.actors.stage import (
    MemoryBlobs,
    Stage,
    attributes,
    emitted,
    error_of,
    progress,
    raising,
)
from tests.actors.steps import Acting, Broken, BrokenFurther, Colour, KeepingActing, Load, Point

# --- success ----------------------------------------------------------------------------------


def test_a_turn_that_succeeds_carries_its_emissions_in_order_and_the_attributes() -> None:
    stage = Stage(Acting())

    def act(routine: Acting) -> None:
        routine.emit("output", n=1)
        routine.count += 1
        routine.counted(routine.count)
        routine.emit("output", n=2)

    result = stage.run(act)
    assert result.ending is Ending.SUCCEEDED
    assert result.dispatch == stage.last.dispatch
    assert emitted(result) == [
        ("output", {"n": 1}), ("counted", {"count": 1, "unit": "pieces"}), ("output", {"n": 2}),
    ]
    assert attributes(result) == {"count": 1, "items": [1]}
    assert result.started <= result.ended


def test_only_attributes_whose_bytes_changed_are_in_a_result() -> None:
    stage = Stage(Acting())
    stage.run(lambda routine: None)

    def replace_by_equal(routine: Acting) -> None:
        routine.items = [1]
        routine.count = 0

    assert attributes(stage.run(replace_by_equal)) == {}
    assert attributes(stage.run(lambda routine: routine.items.append(2))) == {"items": [1, 2]}
    assert attributes(stage.run(lambda routine: setattr(routine, "count", 5))) == {"count": 5}
    assert attributes(stage.run(lambda routine: None)) == {}


def test_an_attribute_of_another_type_with_an_equal_value_is_a_change() -> None:
    stage = Stage(Acting())
    stage.run(lambda routine: None)
    result = stage.run(lambda routine: setattr(routine, "count", False))
    assert attributes(result)["count"] is False


def test_a_deleted_attribute_is_committed_as_deleted() -> None:
    stage = Stage(Acting())
    stage.run(lambda routine: None)
    assert stage.run(lambda routine: delattr(routine, "count")).attributes == {"count": None}


def test_private_and_transient_attributes_are_no_state() -> None:
    stage = Stage(Acting())

    def act(routine: Any) -> None:
        routine._secret = threading.Lock()  # noqa: SLF001 - as the author's own handler would
        routine.made_anew = threading.Lock()

    result = stage.run(act)
    assert result.ending is Ending.SUCCEEDED
    assert set(result.attributes) == {"count", "items"}


def test_values_of_the_closed_set_come_through_attributes_and_events() -> None:
    stage = Stage(Acting())

    def act(routine: Any) -> None:
        routine.items = [Point(1, 2), Colour.RED, (1, {2})]
        routine.emit("output", point=Point(3, 4))

    result = stage.run(act)
    assert attributes(result)["items"] == [Point(1, 2), Colour.RED, (1, {2})]
    assert emitted(result) == [("output", {"point": Point(3, 4)})]


def test_what_was_emitted_is_what_the_value_was_then() -> None:
    stage = Stage(Acting())

    def act(routine: Acting) -> None:
        routine.emit("output", items=routine.items)
        routine.items.append(2)

    assert emitted(stage.run(act)) == [("output", {"items": [1]})]


def test_result_fields_merge_key_by_key() -> None:
    stage = Stage(Acting())

    def act(routine: Acting) -> None:
        routine.set_result(total=1, unit="pages")
        routine.set_result(total=2)

    result = stage.run(act)
    assert result.result is not None
    assert decode_fields(result.result) == {"total": 2, "unit": "pages"}


def test_a_handler_knows_its_attempt_its_turn_and_its_job() -> None:
    stage = Stage(Acting())
    seen: list[tuple[int, str, str]] = []

    def act(routine: Acting) -> None:
        seen.append((routine.attempt, routine.turn_id, routine.job_id))
        raise Broken

    stage.run(act)
    stage.again(act)
    stage.run(act)
    assert seen == [
        (1, "instance:1", "job-7"), (2, "instance:1", "job-7"), (1, "instance:2", "job-7"),
    ]


def test_a_typed_event_takes_positions_names_and_defaults() -> None:
    stage = Stage(Acting())

    def act(routine: Acting) -> None:
        routine.counted(1)
        routine.counted(2, "boxes")
        routine.counted(count=3)
        routine.counted(4, unit="bags")

    assert [fields for _, fields in emitted(stage.run(act))] == [
        {"count": 1, "unit": "pieces"}, {"count": 2, "unit": "boxes"},
        {"count": 3, "unit": "pieces"}, {"count": 4, "unit": "bags"},
    ]


def test_slots_beside_process_get_their_fields() -> None:
    stage = Stage(Load("data.db"))
    assert emitted(stage.run(None, "page", body="x")) == [("loaded", {"row": 1})]
    assert emitted(stage.run(None, "twice", body="x")) == [("loaded", {"row": 2}), ("loaded", {"row": 3})]
    assert emitted(stage.run(None, "twice", body="x", times=1)) == [("loaded", {"row": 4})]


def test_large_values_become_blobs_that_the_result_lists() -> None:
    blobs = MemoryBlobs()
    stage = Stage(Acting(), blobs=blobs)

    def act(routine: Acting) -> None:
        routine.emit("output", page=b"\1" * 100_000)
        routine.items = [b"\2" * 100_000]

    result = stage.run(act)
    assert {digest for digest, _ in result.blobs} == set(blobs.kept)
    assert len(result.blobs) == 2
    assert sum(len(data) for _, data in result.emissions) < 1000
    assert decode_fields(result.emissions[0][1], blobs=blobs) == {"page": b"\1" * 100_000}


def test_a_log_line_is_bound_to_job_routine_turn_and_attempt() -> None:
    stage = Stage(Acting())
    stage.run(lambda routine: routine.log.warning("slow page", seconds=2))
    [line] = stage.around.lines
    assert "\n" not in line
    for part in ("slow page", "warning", "seconds=2", "job-7", "acting", "instance:1", "attempt=1"):
        assert part in line


def test_a_handler_sees_whether_something_waits_for_it_and_how_long() -> None:
    stage = Stage(Acting())
    seen: list[tuple[bool, float | None]] = []

    def look(routine: Acting) -> None:
        seen.append((routine.should_yield, routine.time_left))

    stage.run(look)
    stage.around.ends_at_checkpoints, stage.around.left = True, 2.5
    stage.run(look)
    assert seen == [(False, None), (True, 2.5)]


# --- failure leaves nothing -------------------------------------------------------------------


def ruin(routine: Acting) -> None:
    routine.count = 99
    routine.items.append("left over")
    vars(routine)["stray"] = 1
    routine.emit("output", n=1)
    routine.shared["key"] = 1
    routine.set_result(total=1)
    routine.ask("Sure?", slot="answer")
    raise Broken("half-way")


@pytest.mark.parametrize("turns_before", [0, 1])
def test_a_failed_attempt_leaves_nothing_but_its_record(turns_before: int) -> None:
    stage = Stage(Acting())
    for _ in range(turns_before):
        stage.run(lambda routine: None)
    result = stage.run(ruin)
    assert result.ending is Ending.FAILED
    assert (result.emissions, result.attributes, list(result.shared)) == ([], {}, [])
    assert (result.progress, result.result) == (None, None)
    assert not result.questions
    assert stage.state == {"count": 0, "items": [1]}
    assert "key" not in stage.actor.shared.view()


def test_an_attribute_that_a_failed_attempt_deleted_is_back() -> None:
    stage = Stage(Acting())

    def act(routine: Acting) -> None:
        del routine.count
        raise Broken

    stage.run(act)
    assert stage.state == {"count": 0, "items": [1]}


def test_after_a_failure_the_next_attempt_commits_as_if_it_were_the_first() -> None:
    stage = Stage(Acting())
    stage.run(ruin)
    result = stage.again(lambda routine: setattr(routine, "count", routine.count + 1))
    assert attributes(result) == {"count": 1, "items": [1]}
    assert not result.shared


def test_an_attribute_that_new_code_added_survives_a_failure() -> None:
    stage = Stage(Acting(), attributes={"count": 7})
    stage.run(ruin)
    assert stage.state == {"count": 7, "items": [1]}


def test_a_class_can_keep_its_state_on_failure() -> None:
    stage = Stage(KeepingActing())
    result = stage.run(ruin)
    assert result.ending is Ending.FAILED
    assert attributes(result) == {"count": 99, "items": [1, "left over"], "stray": 1}
    assert (result.emissions, list(result.shared), result.result) == ([], [], None)
    assert stage.state == attributes(result)
    assert attributes(stage.again(raising(Broken()))) == {}


def test_progress_outlives_a_failure_and_is_seen_by_the_next_attempt() -> None:
    stage = Stage(Acting())

    def act(routine: Acting) -> None:
        routine.progress["done"] = routine.progress.get("done", 0) + 1
        if routine.attempt < 3:
            raise Broken

    assert progress(stage.run(act)) == {"done": 1}
    assert progress(stage.again(act)) == {"done": 2}
    result = stage.again(act)
    assert result.ending is Ending.SUCCEEDED
    assert result.progress is None


def test_progress_that_was_only_read_is_not_sent_again() -> None:
    stage = Stage(Acting())

    def act(routine: Acting) -> None:
        routine.progress.setdefault("page", 1)
        raise Broken

    assert progress(stage.run(act)) == {"page": 1}
    assert progress(stage.again(act)) is None


def test_cleared_progress_is_sent_as_empty() -> None:
    stage = Stage(Acting())

    def act(routine: Acting) -> None:
        if routine.attempt == 1:
            routine.progress["page"] = 1
        else:
            routine.progress.clear()
        raise Broken

    stage.run(act)
    assert progress(stage.again(act)) == {}


# --- which failures are retried ---------------------------------------------------------------

RETRY = ErrorHandler(
    ErrorStrategy.RETRY, retryable_exceptions=(Broken, OSError), non_retryable_exceptions=(BrokenFurther,)
)


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (Broken("x"), True),
        (ConnectionError("x"), True),
        (BrokenFurther("x"), False),
        (ValueError("x"), False),
        (GiveUp("x"), False),
        (RetryLater("x", after=3), True),
        (SystemExit(3), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_errors_are_matched_by_class_through_their_bases(error: BaseException, retryable: bool) -> None:
    result = Stage(Acting(), error_handler=RETRY).run(raising(error))
    assert error_of(result) == (type(error).__name__, str(error), retryable)


def test_retry_later_carries_its_delay() -> None:
    stage = Stage(Acting())
    for after, recorded in ((None, None), (3, 3.0), (-1, 0.0)):
        error = stage.run(raising(RetryLater("busy", after=after))).error
        assert error is not None
        assert (error.retryable, error.after) == (True, recorded)


@pytest.mark.parametrize("after", ["soon", float("nan"), float("inf"), True])
def test_retry_later_with_a_senseless_delay_is_a_failure_that_says_so(after: Any) -> None:
    kind, message, retryable = error_of(Stage(Acting()).run(raising(RetryLater(after=after))))
    assert (kind, retryable) == ("InvalidFlow", False)
    assert "RetryLater(after=) takes seconds" in message


@pytest.mark.parametrize(
    "error", [SystemExit("bye"), KeyboardInterrupt(), BaseException("odd"), GeneratorExit()]
)
def test_exceptions_outside_exception_are_failed_attempts(error: BaseException) -> None:
    result = Stage(Acting()).run(raising(error))
    assert result.ending is Ending.FAILED
    assert error_of(result)[0] == type(error).__name__


def test_the_traceback_shows_the_handlers_frames_and_is_bounded() -> None:
    def deep(depth: int) -> None:
        if depth == 0:
            raise Broken("at the bottom")
        deep(depth - 1)

    error = Stage(Acting()).run(lambda routine: deep(400)).error
    assert error is not None
    assert "in deep" in error.traceback
    assert error.traceback.rstrip().endswith("Broken: at the bottom")
    assert len(error.traceback) <= 8000
    _, message, _ = error_of(Stage(Acting()).run(raising(Broken("x" * 10**6))))
    assert len(message) <= 4000


def test_an_exception_whose_text_cannot_be_made_or_sent_is_recorded_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    result = Stage(Acting()).run(raising(Mute()))
    assert result.error is not None
    assert result.error.type == "Mute"
    _, message, _ = error_of(Stage(Acting()).run(raising(Broken("half a pair: \ud800"))))
    assert message == r"half a pair: \ud800"


def test_runaway_recursion_is_a_failed_attempt() -> None:
    def act(routine: Acting) -> None:
        act(routine)

    assert error_of(Stage(Acting()).run(act))[0] == "RecursionError"


# --- questions --------------------------------------------------------------------------------


def test_a_question_goes_with_the_turn_and_its_id_is_given() -> None:
    stage = Stage(Acting())
    ids: list[str] = []

    def act(routine: Acting) -> None:
        ids.append(routine.ask("Go on?", slot="answer"))
        ids.append(routine.ask("How many?", slot="answer", timeout=5))

    result = stage.run(act)
    assert [(q.id, q.slot, q.prompt, q.timeout) for q in result.questions] == [
        (ids[0], "answer", "Go on?", None), (ids[1], "answer", "How many?", 5.0),
    ]
    assert len(set(ids)) == 2


def test_a_prompt_that_no_encoding_can_hold_is_sent_escaped() -> None:
    result = Stage(Acting()).run(lambda routine: routine.ask("\ud800?", slot="answer") and None)
    assert result.questions[0].prompt == r"\ud800?"
