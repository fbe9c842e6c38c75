"""How a flow is put together, and every way in which it is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sojourn import (
    DocumentRefused,
    ErrorHandler,
    ErrorStrategy,
    Flow,
    FlowFrozen,
    InvalidFlow,
    Routine,
)
from sojourn.actors.classes import AnyLoadedClass
from sojourn.actors.loading import load_routine
from sojourn.runtime.flow import Connection, HandlerSpec, IdleHook, SlotSpec
from tests.actors.stage import refusal
from tests.actors.steps import (
    Acting,
    FailingRoutine,
    Fetch,
    Holder,
    KeepingActing,
    Listing,
    Load,
    Sink,
    Untyped,
    two_steps,
)

# --- what is put together ---------------------------------------------------------------------


def test_the_seeds_error_handler_snippet_runs_as_printed() -> None:
    failing = FailingRoutine(delay=0)
    error_handler = ErrorHandler(
        strategy=ErrorStrategy.RETRY,
        max_retries=4,
        retry_delay=0.3,
        retry_backoff=1.5,
        retryable_exceptions=(ValueError,),
    )
    failing.set_error_handler(error_handler)
    flow = Flow("retry_serialization_demo")
    assert flow.add_routine(failing, "failing") is failing
    [spec] = flow.freeze().routines
    assert spec.slots == (SlotSpec("input", (), ("data",), True),)
    assert spec.handler == HandlerSpec(
        ErrorStrategy.RETRY, 4, 0.3, 1.5, retryable_exceptions=("builtins:ValueError",)
    )


def test_a_flow_becomes_a_spec_that_names_classes_by_path() -> None:
    spec = two_steps().freeze()
    fetch, load = spec.routines
    assert (spec.id, spec.entry) == ("load", "fetch")
    assert (fetch.cls, fetch.processes, fetch.parallel) == ("tests.actors.steps:Fetch", 4, True)
    assert fetch.handler is not None
    assert fetch.handler.retryable_exceptions == ("builtins:ConnectionError",)
    assert [s.name for s in load.slots] == ["page", "twice"]
    assert [(e.name, e.fields) for e in load.events] == [
        ("output", None), ("failed", ("slot", "data", "error")), ("loaded", ("row",)),
    ]
    assert spec.connections == (Connection("fetch", "output", "load", "page"),)


def test_bound_events_and_slots_connect_like_names() -> None:
    flow = two_steps()
    sink = flow.add_routine(Sink(), "sink")
    load = flow.add_routine(Load("a.db"), "another")
    flow.connect("fetch", "output", "another", "page")
    flow.connect(load.loaded, sink.row)
    assert flow.freeze().connections[-1] == Connection("another", "loaded", "sink", "row")


def test_a_bound_process_is_the_slot_input() -> None:
    flow = Flow("bound")
    acting = flow.add_routine(Acting(), "acting")
    other = flow.add_routine(Sink(), "sink")
    flow.connect(acting.counted, other.process)  # pyright: ignore[reportArgumentType] # it takes any field
    assert flow.freeze().connections == (Connection("acting", "counted", "sink", "input"),)


def test_bound_ports_belong_to_their_own_routine_where_two_have_one_class() -> None:
    flow = Flow("pair", entry="first")
    first = flow.add_routine(Acting(), "first")
    second = flow.add_routine(Acting(), "second")
    third = flow.add_routine(Sink(), "third")
    flow.connect(second.counted, third.measured)
    flow.connect(first.counted, third.measured)
    assert [(link.source, link.target) for link in flow.freeze().connections] == [
        ("second", "third"), ("first", "third"),
    ]


def test_an_event_feeds_many_slots_a_slot_has_many_events_and_cycles_are_allowed() -> None:
    flow = Flow("cycle", entry="a")
    for id in ("a", "b"):
        flow.add_routine(Acting(), id)
    flow.connect("a", "output", "b", "input")
    flow.connect("a", "output", "a", "input")
    flow.connect("b", "output", "a", "input")
    flow.connect("b", "counted", "a", "input")
    assert len(flow.freeze().connections) == 4


def test_the_failed_event_of_every_routine_can_be_connected() -> None:
    flow = two_steps()
    flow.add_routine(Sink(), "dead_letters")
    flow.connect("fetch", "failed", "dead_letters", "dead")
    assert flow.freeze().connections[-1] == Connection("fetch", "failed", "dead_letters", "dead")


def test_when_idle_feeds_a_slot_so_its_routine_is_no_entry() -> None:
    flow = two_steps()
    flow.add_routine(Sink(), "total")
    flow.when_idle("total", "idle")
    flow.when_idle("total", "input")
    spec = flow.freeze()
    assert spec.entry == "fetch"
    assert spec.when_idle == (IdleHook("total", "idle"), IdleHook("total", "input"))


def test_the_entry_can_be_named() -> None:
    flow = Flow("two", entry="b")
    flow.add_routine(Fetch(), "a")
    flow.add_routine(Fetch(), "b")
    assert flow.freeze().entry == "b"


def test_handlers_take_precedence_from_routine_to_flow_to_stop() -> None:
    skip, again = ErrorHandler(ErrorStrategy.SKIP), ErrorHandler(ErrorStrategy.RETRY)
    flow = Flow("handlers", entry="own", error_handler=ErrorHandler(ErrorStrategy.CONTINUE))
    own = Fetch()
    own.set_error_handler(skip)
    flow.add_routine(own, "own")
    given = Fetch()
    given.set_error_handler(skip)
    flow.add_routine(given, "given", error_handler=again)
    flow.add_routine(Fetch(), "none")
    spec = flow.freeze()
    assert [spec.handler_for(routine).strategy for routine in spec.routines] == [
        ErrorStrategy.SKIP, ErrorStrategy.RETRY, ErrorStrategy.CONTINUE,
    ]


def test_an_error_handler_may_be_set_after_the_routine_was_added_but_not_after_the_flow_was_used() -> None:
    flow = Flow("late")
    fetch = flow.add_routine(Fetch(), "fetch")
    fetch.set_error_handler(ErrorHandler(ErrorStrategy.SKIP))
    [spec] = flow.freeze().routines
    assert spec.handler is not None
    assert spec.handler.strategy is ErrorStrategy.SKIP
    with pytest.raises(FlowFrozen, match="flow 'late' was used already"):
        fetch.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))


def test_routines_are_found_by_their_type_and_its_subclasses() -> None:
    flow = Flow("types", entry="a")
    flow.add_routine(KeepingActing(), "a")
    flow.add_routine(Fetch(), "b")
    flow.add_routine(Acting(), "c")
    assert flow.find_routines_by_type(Acting) == ["a", "c"]
    assert flow.find_routines_by_type(KeepingActing) == ["a"]
    assert flow.find_routines_by_type(Routine) == ["a", "b", "c"]
    assert Flow.deserialize(flow.serialize()).find_routines_by_type(Acting) == ["a", "c"]


# --- constructor arguments --------------------------------------------------------------------


def made_again(flow: Flow, id: str) -> Any:
    """Make a routine from the flow, as an actor process does."""
    return load_routine(flow.freeze(), id, AnyLoadedClass()).construct()


def test_an_actor_is_made_with_the_arguments_of_the_flow() -> None:
    flow = Flow("arguments")
    flow.add_routine(Holder(1, (2, {3}), named={"k": None}), "holder")
    holder = made_again(Flow.deserialize(json.loads(json.dumps(flow.serialize()))), "holder")
    assert (holder.items, holder.named) == ([1, (2, {3})], {"k": None})


def test_arguments_are_recorded_before_the_constructor_can_change_them() -> None:
    flow = Flow("arguments")
    names = ["a"]
    listing = flow.add_routine(Listing(names), "listing")
    names.append("changed later")
    assert listing.names == ["a", "added by __init__", "changed later"]
    assert made_again(flow, "listing").names == ["a", "added by __init__"]


def test_no_two_actors_share_an_argument() -> None:
    flow = Flow("arguments")
    flow.add_routine(Listing(["a"]), "listing")
    loaded = load_routine(flow.freeze(), "listing", AnyLoadedClass())
    first: Any = loaded.construct()
    first.process("of job 1")
    second: Any = loaded.construct()
    assert second.names == ["a", "added by __init__"]


@pytest.mark.parametrize(
    ("routine", "said"),
    [
        (lambda: Holder(1, threading.Lock()), "argument 'number 2' of Holder"),
        (lambda: Holder(named={"deep": [threading.Lock()]}), "argument 'named' of Holder"),
        (lambda: Untyped(threading.Lock()), "argument 'handle' of Untyped"),
    ],
)
def test_an_argument_that_cannot_be_stored_is_named_when_the_routine_is_added(
    routine: Any, said: str
) -> None:
    made = routine()
    message = refusal(lambda: Flow("arguments").add_routine(made, "bad"))
    assert said in message
    assert "can't be encoded: _thread.lock" in message


def test_a_class_whose_new_hides_its_arguments_is_refused() -> None:
    routine = object.__new__(Fetch)
    with pytest.raises(InvalidFlow, match="__new__ that doesn't call super"):
        Flow("arguments").add_routine(routine, "bad")


# --- freezing, digest, documents --------------------------------------------------------------


def take_digest(flow: Flow) -> object:
    return flow.digest


@pytest.mark.parametrize("use", [Flow.freeze, Flow.serialize, take_digest])
def test_the_first_use_freezes_a_flow(use: Callable[[Flow], object]) -> None:
    flow = two_steps()
    use(flow)
    changes: list[Any] = [
        lambda: flow.add_routine(Sink(), "sink"),
        lambda: flow.connect("load", "loaded", "load", "page"),
        lambda: flow.when_idle("load", "page"),
    ]
    for change in changes:
        with pytest.raises(FlowFrozen, match="flow 'load' was used already"):
            change()


def test_a_flow_that_was_refused_at_its_use_can_be_mended() -> None:
    flow = Flow("mended")
    flow.add_routine(Fetch(), "a")
    flow.add_routine(Fetch(), "b")
    with pytest.raises(InvalidFlow):
        flow.freeze()
    flow.connect("a", "output", "b", "input")
    assert flow.freeze().entry == "a"


def test_equal_flows_have_equal_digests_in_whatever_order_routines_came() -> None:
    def flow(*ids: str, named: object = None) -> Flow:
        made = Flow("same", entry="a")
        for id in ids:
            made.add_routine(Holder(named=named), id)
        return made

    assert flow("a", "b").digest == flow("b", "a").digest
    assert flow("a", named={"x": 1, "y": 2}).digest == flow("a", named={"y": 2, "x": 1}).digest
    assert flow("a").digest.startswith("sha256:")
    assert len(flow("a").digest) == len("sha256:") + 64


def test_everything_that_matters_is_in_the_digest() -> None:
    def digest(change: Callable[[Flow], object], **settings: Any) -> str:
        flow = Flow("load", entry="fetch", **settings)
        flow.add_routine(Fetch(), "fetch")
        flow.add_routine(Load("data.db"), "load")
        change(flow)
        return flow.digest

    skip = ErrorHandler(ErrorStrategy.SKIP)
    digests = [
        digest(lambda flow: None),
        digest(lambda flow: None, error_handler=skip),
        digest(lambda flow: flow.connect("fetch", "output", "load", "page")),
        digest(lambda flow: flow.add_routine(Sink(), "third")),
        digest(lambda flow: flow.add_routine(Load("data.db"), "third")),
        digest(lambda flow: flow.add_routine(Load("other.db"), "third")),
        digest(lambda flow: flow.add_routine(Load("other.db"), "third", error_handler=skip)),
        digest(lambda flow: flow.add_routine(Load("other.db"), "third", timeout=3)),
    ]
    assert len(set(digests)) == len(digests)


def test_the_order_of_connections_is_in_the_digest_since_emissions_are_delivered_in_it() -> None:
    def flow(*targets: str) -> Flow:
        made = Flow("fan", entry="a")
        for id in ("a", "b", "c"):
            made.add_routine(Acting(), id)
        for target in targets:
            made.connect("a", "output", target, "input")
        return made

    assert flow("b", "c").digest != flow("c", "b").digest


def test_a_flow_goes_through_json_and_comes_back_the_same() -> None:
    flow = two_steps()
    document = json.loads(json.dumps(flow.serialize()))
    again = Flow.deserialize(document)
    assert again.freeze() == flow.freeze()
    assert again.digest == flow.digest
    with pytest.raises(FlowFrozen):
        again.add_routine(Sink(), "sink")


def test_a_document_that_is_no_flow_is_refused() -> None:
    with pytest.raises(DocumentRefused):
        Flow.deserialize({"format": 1})


def test_a_flows_id_must_be_printable_in_its_document_too() -> None:
    document = two_steps().serialize() | {"id": "a\nb"}
    with pytest.raises(DocumentRefused, match="printable text"):
        Flow.deserialize(document)
    for id in ("a\nb", "\ud800"):
        assert "a flow's id is printable text in one line" in refusal(lambda id=id: Flow(id))  # type: ignore[misc]
