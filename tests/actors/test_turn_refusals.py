"""What a turn refuses: values, messages and calls that can't be, each with its sentence."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sojourn import Routine
from sojourn.runtime.errors import InvalidFlow, OutsideTurn
from tests.actors.stage import (
    Stage,
    error_of,
    nothing,
    raising,
)
from tests.actors.steps import Act, Acting, Broken, KeepingActing


def test_a_handler_that_returns_something_is_told_of_emit() -> None:
    stage = Stage(Acting())

    def act(routine: Acting) -> int:
        routine.count = 9
        return 7

    result = stage.run(act)
    kind, message, retryable = error_of(result)
    assert (kind, retryable) == ("InvalidFlow", False)
    assert "acting.input returned a int" in message
    assert "emit" in message
    assert stage.state["count"] == 0


def test_an_attribute_that_cannot_be_stored_fails_the_attempt_for_good_and_is_named() -> None:
    stage = Stage(Acting())
    stage.run(lambda routine: None)
    result = stage.run(lambda routine: setattr(routine, "count", threading.Lock()))
    kind, message, retryable = error_of(result)
    assert (kind, retryable) == ("ValueNotEncodable", False)
    assert "'count'" in message
    assert stage.state == {"count": 0, "items": [1]}


UNSTORABLE: dict[str, Act] = {
    "event 'output'": lambda r: r.emit("output", handle=threading.Lock()),
    "set_result": lambda r: r.set_result(handle=threading.Lock()),
    "shared['handle']": lambda r: r.shared.__setitem__("handle", threading.Lock()),
}


@pytest.mark.parametrize("where", UNSTORABLE)
@pytest.mark.parametrize("cls", [Acting, KeepingActing])
def test_what_cannot_be_stored_is_named_wherever_it_is(cls: type[Acting], where: str) -> None:
    kind, message, retryable = error_of(Stage(cls()).run(UNSTORABLE[where]))
    assert (kind, retryable) == ("ValueNotEncodable", False)
    assert where in message
    assert "handle" in message


def test_progress_that_cannot_be_stored_fails_the_attempt_for_good() -> None:
    def act(routine: Acting) -> None:
        routine.progress["handle"] = threading.Lock()
        raise Broken

    kind, message, retryable = error_of(Stage(Acting()).run(act))
    assert (kind, retryable) == ("ValueNotEncodable", False)
    assert "progress" in message


def test_attributes_of_the_constructor_that_cannot_be_stored_fail_every_message_by_name() -> None:
    stage = Stage(Unstorable())
    for _ in range(2):
        kind, message, retryable = error_of(stage.run())
        assert (kind, retryable) == ("ValueNotEncodable", False)
        assert "'lock'" in message
        assert "transient" in message


class Unstorable(Routine):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def process(self) -> None:
        """Never reached."""


@pytest.mark.parametrize(
    ("slot", "fields", "said"),
    [
        ("exact", {"note": "x"}, "lacks the field 'row'"),
        ("exact", {"row": 1, "column": 2}, "takes no field 'column'"),
        ("nowhere", {}, "has no slot 'nowhere'"),
    ],
)
def test_a_message_that_does_not_fit_its_slot_is_never_retried(
    slot: str, fields: dict[str, object], said: str
) -> None:
    kind, message, retryable = error_of(Stage(Acting()).run(None, slot, **fields))
    assert (kind, retryable) == ("InvalidInput", False)
    assert said in message


def test_a_message_that_does_not_decode_is_never_retried() -> None:
    stage = Stage(Acting())
    stage.run(lambda routine: None)
    stage.last.data = b"\xc1"
    assert error_of(stage.again())[::2] == ("ValueMalformed", False)


MISTAKES: list[tuple[Act, str]] = [
    (lambda r: r.emit("outptu", n=1), "has no event 'outptu' (it has output, failed, counted)"),
    (lambda r: r.emit("failed", n=1), "emitted when a message ends under CONTINUE or SKIP"),
    (lambda r: r.emit("counted", n=1), "has the fields count, unit, not n"),
    (lambda r: r.emit("nothing", **{"": 1}), "has no event 'nothing'"),
    (lambda r: r.ask("Sure?", slot="answre"), "has no slot 'answre' (it has input, exact, answer)"),
    (lambda r: r.ask("Sure?", slot="answer", timeout=-1), "timeout must be seconds"),
    (lambda r: r.ask("Sure?", slot="answer", timeout=float("inf")), "timeout must be seconds"),
    (lambda r: r.ask(None, slot="answer"), "prompt must be text"),
    (lambda r: r.ask("?", slot="exact", timeout=1), "'exact' of routine 'acting' gets timed_out=True and"),
    (lambda r: setattr(r, "emit", print), "assigned self.emit, which every routine has already"),
    (lambda r: setattr(r, "progress", {}), "can't assign self.progress"),
]


@pytest.mark.parametrize(("act", "said"), MISTAKES)
def test_calls_that_cannot_be_meant_fail_the_attempt_with_a_sentence(act: Any, said: str) -> None:
    kind, message, retryable = error_of(Stage(Acting()).run(act))
    assert (kind, retryable) == ("InvalidFlow", False)
    assert said in message


def test_a_reserved_name_is_refused_where_state_is_kept_on_failure_too() -> None:
    stage = Stage(KeepingActing())

    def act(routine: Any) -> None:
        routine.emit = print
        raise Broken("for another reason")

    assert error_of(stage.run(act))[::2] == ("InvalidFlow", False)
    assert stage.run(lambda routine: routine.emit("output")).error is None


def test_a_value_of_a_class_that_no_decoder_would_find_is_refused_where_it_is_made() -> None:
    from plistlib import FMT_XML  # here, so that no module has imported it

    acts: list[Act] = [
        lambda r: setattr(r, "items", [FMT_XML]),
        lambda r: r.emit("output", found=FMT_XML),
        lambda r: r.shared.append("found", FMT_XML),
        lambda r: r.set_result(found=FMT_XML),
    ]
    for act in acts:
        kind, message, retryable = error_of(Stage(Acting()).run(act))
        assert (kind, retryable) == ("ValueNotEncodable", False)
        assert "class plistlib:PlistFormat couldn't be found again" in message


# --- outside a turn ---------------------------------------------------------------------------


USES: list[Act] = [
    lambda r: r.emit("output"), lambda r: r.counted(1), lambda r: r.attempt, lambda r: r.turn_id,
    lambda r: r.job_id, lambda r: r.shared, lambda r: r.progress, lambda r: r.checkpoint(),
    lambda r: r.set_result(n=1), lambda r: r.ask("?", slot="answer"), lambda r: r.should_yield,
    lambda r: r.time_left, lambda r: r.log,
]


@pytest.mark.parametrize("use", USES)
def test_what_only_a_handler_can_do_says_so_elsewhere(use: Any) -> None:
    with pytest.raises(OutsideTurn, match="Acting is not handling a message"):
        use(Acting())


def test_a_turn_is_closed_after_success_and_failure() -> None:
    stage = Stage(Acting())
    for act in (nothing, raising(Broken())):
        stage.run(act)
        with pytest.raises(OutsideTurn):
            stage.actor.instance.emit("output")


def test_a_shared_map_that_was_kept_refuses_writes_after_its_turn() -> None:
    stage = Stage(Acting())
    kept: list[Any] = []
    stage.run(lambda routine: kept.append(routine.shared))
    with pytest.raises(OutsideTurn, match=r"take self\.shared in each handler"):
        kept[0]["late"] = 1


def test_reserved_names_cannot_be_assigned() -> None:
    with pytest.raises(InvalidFlow, match=r"self\.attempt, which every routine has already"):
        Acting().attempt = 3  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
