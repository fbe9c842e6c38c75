"""What a routine class declares, and what is refused where it is defined."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sojourn import Flow, Routine, event, slot
from sojourn.actors.ports import events_of, slots_of
from sojourn.runtime.flow import Connection, SlotSpec
from tests.actors.stage import refusal
from tests.actors.steps import Load


class Base(Routine):
    def process(self, a: int, b: int = 0, *rest: int, c: int, d: int = 0, **more: object) -> None:
        """Take fields of every kind."""

    @slot
    def side(self, x: int) -> None:
        """Take one field."""

    @event
    def said(self, text: str) -> None: ...


class Derived(Base):
    def process(self, other: int) -> None:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        """Take another field."""

    @slot
    def own(self) -> None:
        """Take none."""


def test_a_handlers_signature_is_its_slots_fields() -> None:
    found = {name: spec for name, (spec, _) in slots_of(Base).items()}
    assert found == {
        "input": SlotSpec("input", ("a", "c"), ("b", "d"), True),
        "side": SlotSpec("side", ("x",), (), False),
    }


def test_ports_are_inherited_and_overridden() -> None:
    found = slots_of(Derived)
    assert {name: spec.required for name, (spec, _) in found.items()} == {
        "input": ("other",), "side": ("x",), "own": (),
    }
    assert {name: method for name, (_, method) in found.items()} == {
        "input": "process", "side": "side", "own": "own",
    }
    assert [declared.name for declared in events_of(Derived)] == ["output", "failed", "said"]


def test_the_base_class_has_no_process_and_every_routine_two_events() -> None:
    assert slots_of(Routine) == {}
    assert not hasattr(Routine, "process")
    assert {declared.name: declared.fields for declared in events_of(Routine)} == {
        "output": None, "failed": ("slot", "data", "error"),
    }


def test_output_can_be_given_fields() -> None:
    class Typed(Routine):
        @event
        def output(self, body: str) -> None: ...

    assert {e.name: e.fields for e in events_of(Typed)}["output"] == ("body",)


def test_marks_leave_name_and_documentation_alone() -> None:
    assert Load.page.__name__ == "page"
    assert Load.loaded.spec.name == "loaded"
    assert vars(Load.loaded)["__name__"] == "loaded"


def test_async_and_generator_handlers_are_refused_where_they_are_defined() -> None:
    def async_process() -> type:
        class A(Routine):
            async def process(self) -> None:
                """Never reached."""

        return A

    def async_slot() -> type:
        class B(Routine):
            @slot
            async def page(self) -> None:
                """Never reached."""

        return B

    def generator() -> type:
        class C(Routine):
            def process(self) -> Iterator[int]:
                yield 1

        return C

    def async_generator() -> type:
        class D(Routine):
            async def process(self) -> AsyncIterator[int]:
                yield 1

        return D

    assert "'process' of" in refusal(async_process)
    for define in (async_process, async_slot, async_generator):
        assert "is async, which isn't supported" in refusal(define)
    assert "is a generator, which isn't supported: emit each value" in refusal(generator)


def test_fields_that_no_message_or_event_can_name_are_refused() -> None:
    def by_position() -> type:
        class A(Routine):
            def process(self, url: str, /) -> None:
                """Never reached."""

        return A

    def open_event() -> type:
        class B(Routine):
            @event
            def said(self, /, **fields: object) -> None: ...

        return B

    def event_of_many() -> type:
        class C(Routine):
            @event
            def said(self, *words: str) -> None: ...

        return C

    assert "takes 'url' by position only" in refusal(by_position)
    assert "has the parameter **fields: name each field" in refusal(open_event)
    assert "has the parameter *words: name each field" in refusal(event_of_many)


def test_names_that_every_routine_has_cannot_be_taken() -> None:
    def method() -> type:
        class A(Routine):
            def emit(self, text: str) -> None:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
                """Never reached."""

        return A

    def attribute() -> type:
        class B(Routine):
            progress = 3  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]

        return B

    def failed() -> type:
        class C(Routine):
            @event
            def failed(self) -> None: ...

        return C

    def two_inputs() -> type:
        class D(Routine):
            def process(self) -> None:
                """Never reached."""

            @slot
            def input(self) -> None:
                """Never reached."""

        return D

    assert "defines 'emit', which every routine has already" in refusal(method)
    assert "defines 'progress', which every routine has already" in refusal(attribute)
    assert "declares the event 'failed', which always exists" in refusal(failed)
    assert "has two slots 'input'" in refusal(two_inputs)


class Logs:
    """Something to derive from beside Routine."""

    def log(self, text: str) -> None:
        """Never reached."""


def test_names_that_every_routine_has_cannot_come_from_another_base() -> None:
    def mixed() -> type:
        class A(Logs, Base):  # type: ignore[misc] # pyright: ignore[reportIncompatibleMethodOverride]
            """Never made."""

        return A

    assert "inherits from Logs 'log', which every routine has already" in refusal(mixed)


def test_public_attributes_in_slots_are_refused_since_they_would_be_no_state() -> None:
    def slotted() -> type:
        class A(Routine):
            __slots__ = ("_cache", "total")

        return A

    def dataclass_with_slots() -> type:
        @dataclass(slots=True)
        class B(Routine):
            total: int

        return B

    class C(Routine):
        __slots__ = ("_cache",)

    class D(Routine):
        transient = ("connection",)
        __slots__ = "connection"

    for define in (slotted, dataclass_with_slots):
        assert "keeps 'total' in __slots__, where it wouldn't be saved" in refusal(define)
    assert slots_of(C) == slots_of(D) == {}


def test_a_handler_that_is_no_plain_method_is_refused() -> None:
    def static() -> type:
        class A(Routine):
            @staticmethod
            def process() -> None:
                """Never reached."""

        return A

    def of_the_class() -> type:
        class B(Routine):
            @slot
            @classmethod
            def page(cls) -> None:
                """Never reached."""

        return B

    assert "'process' of" in refusal(static)
    assert "is a staticmethod: make it a plain method" in refusal(static)
    assert "is a classmethod: make it a plain method" in refusal(of_the_class)


class Writer(Base):
    @event
    def written(self, body: str) -> None: ...


class Wider(Load):
    """Overrides a slot and doesn't say so again."""

    def page(self, body: str, note: str = "") -> None:
        """Take more."""


def test_an_override_of_a_slot_is_one() -> None:
    assert slots_of(Wider)["page"][0] == SlotSpec("page", ("body",), ("note",))
    flow = Flow("wider")
    writer = flow.add_routine(Writer(), "writer")
    wider = flow.add_routine(Wider("x"), "wider")
    flow.connect(writer.written, wider.page)
    assert flow.freeze().connections == (Connection("writer", "written", "wider", "page"),)


@pytest.mark.parametrize(
    "name",
    ["attempt", "job_id", "log", "progress", "shared", "should_yield", "time_left", "turn_id"],
)
def test_a_constructor_that_assigns_a_reserved_name_says_so(name: str) -> None:
    def init(self: Routine) -> None:
        setattr(self, name, 1)

    cls: Any = type("Clashing", (Base,), {"__init__": init})
    assert f"Clashing can't assign self.{name}, which every routine has already" in refusal(cls)


def test_a_routine_may_use_private_names_of_its_own() -> None:
    class Door(Base):
        def __init__(self) -> None:
            self._open = True

    assert Door()._open  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def test_transient_must_be_a_tuple_of_names() -> None:
    def define() -> type:
        class A(Routine):
            transient = "connection"  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]

        return A

    assert "write transient = ('connection',)" in refusal(define)
