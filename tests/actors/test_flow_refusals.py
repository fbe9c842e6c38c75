"""Every way in which a flow is refused, by its one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from sojourn import ErrorStrategy, Flow, Routine, slot
from tests.actors.stage import refusal
from tests.actors.steps import Acting, Fetch, Load, Sink, two_steps


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("fetsh", "output", "load", "page"), "flow 'load' has no routine 'fetsh' (did you mean 'fetch'?)"),
        (("fetch", "output", "laod", "page"), "flow 'load' has no routine 'laod' (did you mean 'load'?)"),
        (("fetch", "outptu", "load", "page"), "'fetch' has no event 'outptu' (did you mean 'output'?)"),
        (("fetch", "output", "load", "pgae"), "'load' has no slot 'pgae' (did you mean 'page'?)"),
        (("fetch", "output", "load", "xyz"), "routine 'load' has no slot 'xyz' (it has page, twice)"),
        (("fetch", "output", "load", "page"), "fetch.output feeds load.page already"),
        (("load", "loaded", "load", "page"), "load.loaded can't feed load.page: the slot needs 'body'"),
        (("fetch", "failed", "load", "page"), "the slot needs 'body', which the event doesn't have"),
    ],
)
def test_connections_that_cannot_be_are_refused(names: tuple[str, str, str, str], said: str) -> None:
    flow = two_steps()
    assert said in refusal(lambda: flow.connect(*names))


def test_a_field_that_a_slot_does_not_take_is_refused_and_named() -> None:
    flow = two_steps()
    flow.add_routine(Sink(), "sink")
    message = refusal(lambda: flow.connect("load", "loaded", "sink", "dead"))
    assert "load.loaded can't feed sink.dead: the slot needs 'slot'" in message
    flow.add_routine(TakesErrors(), "errors")
    assert "the slot takes no 'slot'" in refusal(lambda: flow.connect("load", "failed", "errors", "exact"))


class TakesErrors(Routine):
    @slot
    def exact(self, data: object, error: object) -> None:
        """Take a part of ``failed``."""


def test_when_idle_needs_a_slot_for_the_counts() -> None:
    flow = two_steps()
    message = refusal(lambda: flow.when_idle("load", "page"))
    assert "when_idle can't feed load.page: the slot needs 'body'" in message
    assert "no routine 'total'" in refusal(lambda: flow.when_idle("total", "input"))


def test_bound_ports_of_strangers_and_mixtures_are_refused() -> None:
    flow = two_steps()
    mine, stranger = flow.add_routine(Load("b.db"), "mine"), Load("c.db")
    sink = flow.add_routine(Sink(), "sink")
    untyped: Any = flow.connect
    message = refusal(lambda: flow.connect(stranger.loaded, sink.row))
    assert "<event 'loaded' of" in message
    assert "is no event of a routine of flow 'load': add the routine first" in message
    message = refusal(lambda: flow.connect(mine.loaded, Sink().row))
    assert "is no slot of a routine of flow 'load'" in message
    assert "is no event: declare it with @event" in refusal(lambda: untyped(mine.page, sink.row))
    assert "is no slot: mark it with @slot" in refusal(lambda: untyped(mine.loaded, sink.emit))
    assert "not a mix" in refusal(lambda: untyped(mine.loaded, "sink"))
    assert "takes four names" in refusal(lambda: untyped("mine", sink.row))


@pytest.mark.parametrize("id", ["", "with space", "a.b", "1st", None, 7])
def test_a_routine_id_is_an_identifier(id: Any) -> None:
    message = refusal(lambda: Flow("ids").add_routine(Fetch(), id))
    assert "must be an identifier like `load_pages`" in message


@pytest.mark.parametrize("id", ["", None, 7])
def test_a_flow_id_is_a_text(id: Any) -> None:
    assert "a flow's id is a text" in refusal(lambda: Flow(id))


def test_an_id_and_a_routine_object_are_added_once() -> None:
    flow = two_steps()
    fetch = flow.add_routine(Fetch(), "another")
    assert "has a routine 'another' already" in refusal(lambda: flow.add_routine(Fetch(), "another"))
    assert "this routine object is in the flow already" in refusal(lambda: flow.add_routine(fetch, "again"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"processes": 0}, "processes must be a number from 1"),
        ({"processes": 2.0}, "processes must be a number from 1"),
        ({"processes": True}, "processes must be a number from 1"),
        ({"timeout": -1}, "timeout must be a number of seconds"),
        ({"timeout": float("nan")}, "timeout must be a number of seconds"),
        ({"timeout": float("inf")}, "timeout must be a number of seconds"),
        ({"timeout": 0}, "timeout must be more than 0 seconds"),
        ({"grace": "10"}, "grace must be a number of seconds"),
        ({"parallel": True, "ordered": True}, "both parallel and ordered"),
        ({"error_handler": ErrorStrategy.SKIP}, "error_handler takes an ErrorHandler"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], said: str) -> None:
    flow = Flow("settings")
    assert said in refusal(lambda: flow.add_routine(Fetch(), "fetch", **settings))
    flow.add_routine(Fetch(), "fetch")


def test_a_grace_of_zero_is_a_grace() -> None:
    flow = Flow("settings")
    flow.add_routine(Fetch(), "fetch", grace=0, timeout=2)
    [spec] = flow.freeze().routines
    assert (spec.grace, spec.timeout) == (0.0, 2.0)


def test_an_entry_is_found_or_asked_for() -> None:
    flow = Flow("entries")
    assert "flow 'entries' has no routine" in refusal(flow.freeze)
    flow.add_routine(Acting(), "a")
    flow.add_routine(Acting(), "b")
    assert "routines that nothing feeds are: a, b" in refusal(flow.freeze)
    flow.connect("a", "output", "b", "input")
    flow.connect("b", "output", "a", "input")
    assert "nothing feeds are: none" in refusal(flow.freeze)
    named = Flow("entries", entry="c")
    named.add_routine(Fetch(), "cc")
    assert "no routine 'c' (did you mean 'cc'?)" in refusal(named.freeze)
    without_input = Flow("entries")
    without_input.add_routine(Load("a.db"), "load")
    assert "routine 'load' has no slot 'input'" in refusal(without_input.freeze)


def test_classes_that_no_other_process_can_import_are_refused() -> None:
    class Local(Routine):
        def process(self) -> None:
            """Never reached."""

    assert "is local to a function" in refusal(lambda: Flow("local").add_routine(Local(), "local"))
    main = type("Main", (Fetch,), {"__module__": "__main__", "__qualname__": "Main"})
    assert "is defined in __main__" in refusal(lambda: Flow("main").add_routine(main(), "main"))
    untyped: Any = Flow("class").add_routine
    assert "must be an instance of a class derived from Routine" in refusal(lambda: untyped(Fetch, "fetch"))
    assert "must be an instance of a class derived from Routine" in refusal(lambda: untyped(print, "fetch"))


class Slotless(Routine):
    """Has nothing to call."""


def test_a_routine_without_a_slot_is_refused() -> None:
    assert "Slotless has no slot: write a method `process`" in refusal(
        lambda: Flow("slotless").add_routine(Slotless(), "slotless")
    )


class TakesANameInItsConstructor(Routine):
    def __init__(self) -> None:
        vars(self)["checkpoint"] = "saved"

    def process(self) -> None:
        """Never reached."""


def test_an_attribute_with_a_reserved_name_is_refused() -> None:
    assert "has an attribute 'checkpoint', which every routine has already" in refusal(
        lambda: Flow("clash").add_routine(TakesANameInItsConstructor(), "clash")
    )
