"""The shared map as a turn sees it: copies, own writes, and what the supervisor has told meanwhile."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from sojourn.actors.shared_map import SharedMap, SharedState, Write, apply_write
from sojourn.runtime.errors import ValueMalformed, ValueNotEncodable
from sojourn.runtime.values import BLOB_THRESHOLD, Encoder, decode, encode
from sojourn.runtime.wire.actor import Ending, SharedKind
from tests.actors.stage import MemoryBlobs, Stage, classes_of_tests, error_of, written
from tests.actors.steps import Acting, Broken, Point


def the_map(**values: object) -> SharedMap:
    """Give a map as a turn would see it."""
    return map_of({key: encode(value) for key, value in values.items()})


def map_of(view: dict[str, bytes]) -> SharedMap:
    return SharedMap(view, Encoder(classes_of_tests()), classes_of_tests(), None, None)


def seen(state: SharedState) -> dict[str, object]:
    """Give what a turn that begins now would read."""
    return {key: decode(value) for key, value in state.view().items()}


def lay(state: SharedState, unit: int, *writes: Write) -> None:
    """Have a turn commit these writes."""
    view = dict(state.view())
    for one in writes:
        apply_write(view, one)
    state.add(unit, list(writes), view)


def write(key: str, kind: SharedKind, value: object) -> Write:
    return key, kind, encode(value)


# --- in a turn --------------------------------------------------------------------------------


def test_a_map_reads_like_a_dict() -> None:
    shared = the_map(a=1, b=[2])
    assert shared["a"] == 1
    assert shared.get("b") == [2]
    assert shared.get("c") is None
    assert shared.get("c", 3) == 3
    assert "a" in shared
    assert "c" not in shared
    assert (len(shared), shared.keys(), list(shared)) == (2, ["a", "b"], ["a", "b"])
    assert shared.items() == [("a", 1), ("b", [2])]
    with pytest.raises(KeyError):
        shared["c"]
    with pytest.raises(KeyError):
        del shared["c"]


def test_values_read_are_copies_and_only_assignment_writes() -> None:
    shared = the_map(items=[1])
    shared["items"].append(2)
    assert shared["items"] == [1]
    assert shared.writes == []
    shared["items"] = [*shared["items"], 2]
    assert shared["items"] == [1, 2]


def test_a_value_is_what_it_was_when_it_was_assigned() -> None:
    shared = the_map()
    items = [1]
    shared["items"] = items
    items.append(2)
    assert shared["items"] == [1]


def test_own_writes_are_seen_at_once_and_kept_in_order() -> None:
    shared = the_map(gone=1, n=1)
    shared["new"] = Point(1, 2)
    del shared["gone"]
    shared.add("n", 2)
    shared.add("m", 0.5)
    shared.append("list", (1, 2))
    shared.append("list", "x")
    assert dict(shared.items()) == {"n": 3, "new": Point(1, 2), "m": 0.5, "list": [(1, 2), "x"]}
    assert [(key, kind) for key, kind, _ in shared.writes] == [
        ("new", SharedKind.SET), ("gone", SharedKind.DELETE), ("n", SharedKind.ADD), ("m", SharedKind.ADD),
        ("list", SharedKind.APPEND), ("list", SharedKind.APPEND),
    ]


def test_writing_changes_nothing_for_others_who_see_the_same_snapshot() -> None:
    view = {"n": encode(1)}
    first, second = (map_of(view) for _ in range(2))
    first["n"] = 2
    first["m"] = 3
    assert (second["n"], len(second), view) == (1, 1, {"n": encode(1)})


@pytest.mark.parametrize("number", ["1", True, None, [1]])
def test_only_numbers_are_added(number: Any) -> None:
    shared = the_map()
    with pytest.raises(TypeError, match=r"shared\.add takes a number"):
        shared.add("n", number)
    assert shared.writes == []


def test_what_does_not_fit_what_a_key_holds_is_refused_and_writes_nothing() -> None:
    shared = the_map(text="x")
    with pytest.raises(ValueMalformed):
        shared.add("text", 1)
    with pytest.raises(ValueMalformed):
        shared.append("text", 1)
    assert (shared.writes, shared["text"]) == ([], "x")


def test_keys_and_values_that_cannot_be_stored_are_refused() -> None:
    shared = the_map()
    number: Any = 3
    with pytest.raises(TypeError, match="keys of the shared map are text, not int"):
        shared[number] = 1
    with pytest.raises(ValueNotEncodable, match="no valid text"):
        shared["\ud800"] = 1
    with pytest.raises(ValueNotEncodable, match=r"shared\['lock'\]"):
        shared["lock"] = threading.Lock()
    assert (shared.writes, len(shared)) == ([], 0)
    shared["schlüssel 🗝"] = 1
    assert shared["schlüssel 🗝"] == 1


def test_large_values_become_blobs() -> None:
    blobs = MemoryBlobs()
    stage = Stage(Acting(), blobs=blobs)
    large = "x" * (BLOB_THRESHOLD + 1)
    seen_again: list[bool] = []
    result = stage.run(lambda routine: routine.shared.__setitem__("page", large))
    assert [digest for digest, _ in result.blobs] == list(blobs.kept)
    assert len(result.shared[0][2]) < 200
    stage.run(lambda routine: seen_again.append(routine.shared["page"] == large))
    assert seen_again == [True]


def test_a_map_that_was_kept_still_reads_large_values_after_its_turn() -> None:
    stage = Stage(Acting(), blobs=MemoryBlobs())
    kept: list[SharedMap] = []
    large = "x" * (BLOB_THRESHOLD + 1)
    stage.run(lambda routine: routine.shared.__setitem__("page", large))
    stage.run(lambda routine: kept.append(routine.shared))
    assert kept[0]["page"] == large


def test_turns_that_write_leave_nothing_that_only_the_garbage_collector_finds() -> None:
    stage = Stage(Acting(), blobs=MemoryBlobs())

    def act(routine: Acting) -> None:
        routine.shared.add("n", 1)
        routine.emit("output", items=(1, 2))

    stage.run(act)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            assert stage.run(act).ending is Ending.SUCCEEDED
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- from turn to turn ------------------------------------------------------------------------


def test_a_turn_sees_the_committed_map_and_earlier_turns_of_its_actor() -> None:
    stage = Stage(Acting(), shared={"n": 1})
    values: list[object] = []

    def count(routine: Acting) -> None:
        values.append(routine.shared["n"])
        routine.shared.add("n", 1)

    results = [stage.run(count) for _ in range(3)]
    assert values == [1, 2, 3]
    assert [written(result) for result in results] == [[("n", SharedKind.ADD, 1)]] * 3


def test_a_failed_attempts_writes_are_seen_by_nobody() -> None:
    stage = Stage(Acting(), shared={"n": 1})

    def write_and_fail(routine: Acting) -> None:
        routine.shared["n"] = 99
        raise Broken

    values: list[object] = []
    assert not stage.run(write_and_fail).shared
    stage.run(lambda routine: values.append(routine.shared["n"]))
    assert values == [1]


def test_a_write_that_does_not_fit_fails_the_attempt_for_good() -> None:
    result = Stage(Acting(), shared={"text": "x"}).run(lambda routine: routine.shared.add("text", 1))
    assert result.ending is Ending.FAILED
    assert error_of(result)[::2] == ("ValueMalformed", False)


# --- what the process knows -------------------------------------------------------------------


def test_own_writes_lie_over_the_snapshot_until_they_are_acknowledged() -> None:
    state = SharedState()
    state.update({"n": encode(10)}, whole=True)
    lay(state, 1, write("n", SharedKind.ADD, 1))
    lay(state, 2, write("n", SharedKind.ADD, 1), write("own", SharedKind.SET, True))
    assert seen(state) == {"n": 12, "own": True}

    # the supervisor has committed unit 1, and another process's addition of 5
    state.acknowledge(1)
    state.update({"n": encode(16)}, whole=False)
    assert seen(state) == {"n": 17, "own": True}

    state.acknowledge(2)
    state.update({"n": encode(17), "own": encode(True)}, whole=False)
    assert seen(state) == {"n": 17, "own": True}


def test_a_difference_changes_and_deletes_keys_and_a_whole_map_replaces_all() -> None:
    state = SharedState()
    state.update({"a": encode(1), "b": encode(2)}, whole=True)
    state.update({"a": None, "c": encode(3)}, whole=False)
    assert seen(state) == {"b": 2, "c": 3}
    state.update({"d": encode(4), "e": None}, whole=True)
    assert seen(state) == {"d": 4}


def test_a_deletion_of_ones_own_hides_a_key_until_it_is_acknowledged() -> None:
    state = SharedState()
    state.update({"a": encode(1)}, whole=True)
    lay(state, 1, write("a", SharedKind.DELETE, None))
    assert seen(state) == {}
    state.acknowledge(1)
    assert seen(state) == {"a": 1}


def test_a_view_that_was_taken_does_not_change() -> None:
    state = SharedState()
    state.update({"a": encode(1)}, whole=True)
    lay(state, 1, write("b", SharedKind.SET, 2))
    taken = state.view()
    before = dict(taken)
    lay(state, 2, write("a", SharedKind.SET, 5))
    state.update({"c": encode(3)}, whole=False)
    state.view()
    assert taken == before


def test_an_own_write_that_no_longer_fits_what_another_turn_committed_is_left_out() -> None:
    state = SharedState()
    lay(state, 1, write("n", SharedKind.ADD, 1), write("m", SharedKind.ADD, 1))
    state.update({"n": encode("text")}, whole=False)
    assert seen(state) == {"n": "text", "m": 1}
