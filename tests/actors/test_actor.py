"""How an actor is made, and what is in it after a restart."""

from __future__ import annotations

import pytest

from sojourn import Routine
from sojourn.actors.actor import Actor
from sojourn.runtime.values import encode
from sojourn.runtime.wire.actor import Ending, JobContext
from tests.actors.stage import MemoryBlobs, Stage, attributes, error_of, loaded
from tests.actors.steps import Acting, Broken, Listing, Load, Point


class Recorder(Routine):
    """Notes the order in which it is made."""

    transient = ("steps",)

    def __init__(self, start: int) -> None:
        self.value = start
        self.steps = ["__init__"]

    def __setattr__(self, name: str, value: object) -> None:
        if name == "value" and "steps" in vars(self):
            vars(self)["steps"].append(f"{name} = {value}")
        super().__setattr__(name, value)

    def activate(self) -> None:
        self.steps.append("activate")

    def process(self) -> None:
        """Do nothing."""


def test_an_actor_is_constructed_then_given_its_saved_attributes_then_activated() -> None:
    stage = Stage(Recorder(3), attributes={"value": 8})
    assert stage.state["steps"] == ["__init__", "value = 8", "activate"]


def test_a_new_actor_is_constructed_and_activated() -> None:
    stage = Stage(Recorder(3))
    assert stage.state == {"value": 3, "steps": ["__init__", "activate"]}


def test_saved_attributes_come_back_equal_and_of_the_same_type() -> None:
    stage = Stage(Acting(), attributes={"count": True, "items": [Point(1, 2), (3, {4})], "added": b"x"})
    assert stage.state == {"count": True, "items": [Point(1, 2), (3, {4})], "added": b"x"}
    assert attributes(stage.run(lambda routine: None)) == {}


def test_saved_attributes_come_back_from_blobs() -> None:
    blobs = MemoryBlobs()
    context = JobContext(
        1, "j", "i", 1, {"items": encode([b"\3" * 100_000], blobs=blobs)}, {}, True
    )
    actor = Actor(loaded(Acting()), context, blobs)
    assert vars(actor.instance)["items"] == [b"\3" * 100_000]


def test_two_jobs_share_nothing_that_the_constructor_was_given() -> None:
    routine = loaded(Listing(["a"]))
    context = JobContext(1, "j", "i", 1, None, {}, True)
    first, second = Actor(routine, context, None), Actor(routine, context, None)
    vars(first.instance)["names"].append("of job 1")
    assert vars(second.instance)["names"] == ["a", "added by __init__"]


class Unstartable(Routine):
    def activate(self) -> None:
        raise Broken("no connection")

    def process(self) -> None:
        """Never reached."""


def test_what_activate_raises_is_the_makers_to_handle() -> None:
    with pytest.raises(Broken, match="no connection"):
        Stage(Unstartable())


def test_transient_attributes_are_made_anew_and_never_saved() -> None:
    stage = Stage(Load("data.db"))
    before = stage.state["connection"]
    result = stage.run(None, "page", body="x")
    assert set(result.attributes) == {"dsn", "rows"}
    assert stage.run(None, "page").ending is Ending.FAILED
    assert stage.state["connection"] is before


def test_a_failed_attempt_of_a_restarted_actor_goes_back_to_what_was_saved() -> None:
    stage = Stage(Acting(), attributes={"count": 4, "items": [1, 2]})

    def ruin(routine: Acting) -> None:
        routine.count += 1
        routine.items.clear()
        raise Broken

    stage.run(ruin)
    assert stage.state == {"count": 4, "items": [1, 2]}


def test_mutable_attributes_are_restored_as_new_objects_equal_to_the_saved_ones() -> None:
    stage = Stage(Acting())
    stage.run(lambda routine: None)

    def nest(routine: Acting) -> None:
        routine.items.append(routine.items[:])

    def nest_and_fail(routine: Acting) -> None:
        nest(routine)
        raise Broken

    assert attributes(stage.run(nest)) == {"items": [1, [1]]}
    stage.run(nest_and_fail)
    assert stage.state == {"count": 0, "items": [1, [1]]}


def test_attributes_that_a_turn_deleted_before_their_first_commit_stay_deleted() -> None:
    stage = Stage(Acting())
    stage.run(lambda routine: delattr(routine, "count"))

    def fail(routine: Acting) -> None:
        raise Broken

    stage.run(fail)
    assert stage.state == {"items": [1]}


LARGE = "x" * 100_000


class BigFromTheStart(Acting):
    def __init__(self) -> None:
        super().__init__()
        self.text = LARGE


def test_a_large_attribute_that_was_never_committed_outlives_the_sweep_of_its_blob() -> None:
    blobs = MemoryBlobs()
    stage = Stage(BigFromTheStart(), blobs=blobs)

    def fail(routine: BigFromTheStart) -> None:
        routine.text = "changed"
        raise Broken

    for _ in range(3):
        assert error_of(stage.run(fail))[0] == "Broken"
        assert stage.state == {"text": LARGE, "count": 0, "items": [1]}
        blobs.kept.clear()  # nothing in the store refers to it


def test_an_attribute_that_was_deleted_before_the_first_commit_and_set_again_is_committed() -> None:
    stage = Stage(Acting())

    def act(routine: Acting) -> None:
        before = routine.count
        del routine.count
        routine.checkpoint()
        routine.count = before

    result = stage.run(act)
    assert "count" not in attributes(stage.around.checkpoints[0])
    assert attributes(result) == {"count": 0}


def test_all_actors_of_a_parallel_routine_are_of_one_sealed_class() -> None:
    routine = loaded(Acting(), parallel=True)
    context = JobContext(1, "j", "i", 1, None, {}, True)
    first, second = Actor(routine, context, None), Actor(routine, context, None)
    assert type(first.instance) is type(second.instance) is not Acting
