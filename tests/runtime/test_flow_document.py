"""A flow's document and digest, made from the spec alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from sojourn.runtime.errors import DocumentRefused
from sojourn.runtime.flow import (
    Connection,
    ErrorStrategy,
    EventSpec,
    FlowSpec,
    HandlerSpec,
    IdleHook,
    RoutineSpec,
    SlotSpec,
)
from sojourn.runtime.flow_document import flow_digest, flow_from_document, flow_to_document
from sojourn.runtime.values import encode_fields


def arguments(*args: object, **kwargs: object) -> bytes:
    return encode_fields({"args": list(args), "kwargs": kwargs}, where="the arguments")


EVENTS = (EventSpec("output"), EventSpec("failed", ("slot", "data", "error")))
FETCH = RoutineSpec(
    "fetch", "pages:Fetch", arguments(), (SlotSpec("input", ("url",)),), EVENTS,
    HandlerSpec(
        ErrorStrategy.RETRY, 4, 0.3, 1.5, 60.0, 0.1, ("builtins:ConnectionError",), ("pages:Gone",),
        ErrorStrategy.SKIP,
    ),
    processes=4, parallel=True, timeout=2.5, grace=0.0,
)
LOAD = RoutineSpec(
    "load", "pages:Load", arguments("data.db", (1, {2}), limits={"rows": 10}),
    (SlotSpec("page", ("body",), ("kind",), True), SlotSpec("total", (), (), True)), EVENTS, ordered=True,
)
FLOW = FlowSpec(
    "load", "fetch", (FETCH, LOAD), (Connection("fetch", "output", "load", "page"),),
    (IdleHook("load", "total"),), HandlerSpec(ErrorStrategy.CONTINUE),
)

GOLDEN_DIGEST = "sha256:8c300d038cc88d5e939967c888de12f94badf69a7cb267a4c5f4f6221abde581"


def document() -> Any:
    """Give the flow's document, through JSON."""
    return json.loads(json.dumps(flow_to_document(FLOW)))


def test_a_document_says_everything_and_comes_back_as_the_same_spec() -> None:
    assert flow_from_document(document()) == FLOW


def test_a_document_is_plain_json_with_a_format_version() -> None:
    found = document()
    assert found["format"] == 1
    assert (found["id"], found["entry"]) == ("load", "fetch")
    assert found["routines"][0]["handler"]["retryable_exceptions"] == ["builtins:ConnectionError"]
    assert found["routines"][1]["arguments"] == {
        "args": ["data.db", {"$sojourn": "tuple", "value": [1, {"$sojourn": "set", "value": [2]}]}],
        "kwargs": {"limits": {"rows": 10}},
    }
    assert found["connections"] == [
        {"source": "fetch", "event": "output", "target": "load", "slot": "page"}
    ]


def test_the_digest_of_a_flow_never_changes() -> None:
    assert flow_digest(FLOW) == GOLDEN_DIGEST


def test_the_digest_is_the_same_after_a_document_and_for_any_order_of_routines() -> None:
    assert flow_digest(flow_from_document(document())) == flow_digest(FLOW)
    assert flow_digest(msgspec.structs.replace(FLOW, routines=(LOAD, FETCH))) == flow_digest(FLOW)


def test_the_digest_is_the_same_for_any_order_of_an_arguments_keys() -> None:
    def digest(limits: dict[str, int]) -> str:
        load = msgspec.structs.replace(LOAD, arguments=arguments(limits=limits))
        return flow_digest(msgspec.structs.replace(FLOW, routines=(FETCH, load)))

    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1, "b": 2}) != digest({"a": 2, "b": 1})


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "other"},
        {"entry": "load"},
        {"connections": ()},
        {"when_idle": ()},
        {"handler": None},
        {"routines": (FETCH,)},
        {"routines": (FETCH, msgspec.structs.replace(LOAD, cls="pages:Other"))},
        {"routines": (FETCH, msgspec.structs.replace(LOAD, arguments=arguments("data.db", [1, {2}])))},
        {"routines": (FETCH, msgspec.structs.replace(LOAD, timeout=1.0))},
        {"routines": (FETCH, msgspec.structs.replace(LOAD, handler=HandlerSpec(max_retries=9)))},
    ],
)
def test_every_part_is_in_the_digest(changed: dict[str, Any]) -> None:
    assert flow_digest(msgspec.structs.replace(FLOW, **changed)) != flow_digest(FLOW)


@pytest.mark.parametrize("found", [None, [], "flow", 3, True])
def test_what_is_no_object_is_refused(found: object) -> None:
    with pytest.raises(DocumentRefused, match="must be a JSON object"):
        flow_from_document(found)


@pytest.mark.parametrize("version", [2, "1", None, 0])
def test_another_format_is_refused_with_both_versions(version: object) -> None:
    with pytest.raises(DocumentRefused, match="this sojourn reads 1") as refused:
        flow_from_document(document() | {"format": version})
    assert repr(version) in refused.value.message


def change(path: str, value: object) -> Any:
    """Give the document with one place changed; None for one that is left out."""
    found = document()
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = found
    for part in way:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("routines", None),
        ("routines", {}),
        ("routines.0", 3),
        ("routines.0.arguments", None),
        ("routines.0.arguments", {"$sojourn": "no such type", "value": 1}),
        ("routines.0.cls", None),
        ("routines.0.processes", "four"),
        ("routines.0.handler.strategy", "sometimes"),
        ("routines.1.slots.0.required", "body"),
        ("connections.0.slot", None),
        ("id", 7),
        ("entry", None),
    ],
)
def test_a_part_that_is_missing_or_of_another_kind_is_refused(path: str, value: object) -> None:
    with pytest.raises(DocumentRefused) as refused:
        flow_from_document(change(path, value))
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("entry", "load", "its entry 'load' is no routine with a slot 'input'"),
        ("entry", "nowhere", "its entry 'nowhere' is no routine"),
        ("routines.1.id", "fetch", "two of its routines have the same id"),
        ("connections.0.source", "nowhere", "it connects nowhere.output, which is no event of it"),
        ("connections.0.event", "body", "it connects fetch.body, which is no event of it"),
        ("connections.0.slot", "row", "it connects load.row, which is no slot of it"),
        ("when_idle.0.slot", "row", "it delivers to load.row when idle, which is no slot of it"),
    ],
)
def test_a_document_that_names_parts_it_does_not_have_is_refused(path: str, value: str, said: str) -> None:
    with pytest.raises(DocumentRefused, match="doesn't hold together") as refused:
        flow_from_document(change(path, value))
    assert said in refused.value.message
