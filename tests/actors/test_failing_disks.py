"""Turns that the host's disk fails: no failure of theirs, and nothing of them is kept."""

from __future__ import annotations

import contextlib

import pytest

from sojourn import Routine
from sojourn.actors.tester.blobs import MemoryBlobs
from sojourn.actors.turn_errors import HostFails
from sojourn.runtime.values import BlobReference
from sojourn.runtime.wire.actor import Ending
from tests.actors.stage import Stage, attributes, error_of, nothing
from tests.actors.steps import Act, Acting

LARGE = "x" * 100_000


class FailingBlobs(MemoryBlobs):
    """A folder whose disk fails at times."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False

    def put(self, data: bytes) -> BlobReference:
        """Keep bytes."""
        self._check()
        return super().put(data)

    def get(self, digest: str) -> bytes:
        """Give bytes."""
        self._check()
        return super().get(digest)

    def _check(self) -> None:
        if self.fails:
            raise HostFails("the disk fails: mend it")


def emits(routine: Routine) -> None:
    routine.emit("output", text=LARGE)


def keeps(routine: Routine) -> None:
    routine.text = LARGE  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]


def shares(routine: Routine) -> None:
    routine.shared["text"] = LARGE


def swallows(routine: Routine) -> None:
    with contextlib.suppress(BaseException):
        routine.emit("output", text=LARGE)


def turns_it_into_its_own(routine: Routine) -> None:
    try:
        routine.emit("output", text=LARGE)
    except BaseException as error:
        raise ValueError("no") from error


def checkpoints_after_it(routine: Routine) -> None:
    swallows(routine)
    routine.checkpoint()


@pytest.mark.parametrize(
    "act", [emits, keeps, shares, swallows, turns_it_into_its_own, checkpoints_after_it]
)
def test_a_turn_whose_large_value_finds_no_room_is_hindered_and_can_run_again(act: Act) -> None:
    blobs = FailingBlobs()
    stage = Stage(Acting(), blobs=blobs)
    stage.run(nothing)
    blobs.fails = True
    before = stage.around.results
    result = stage.run(act)
    assert result.ending is Ending.HINDERED
    assert error_of(result)[:2] == (
        "HostFails", "the disk fails: mend it, then run `sojourn retry job-7`"
    )
    assert (result.emissions, result.attributes, list(result.shared)) == ([], {}, [])
    assert stage.around.checkpoints == []
    assert stage.around.result_number() == before + 2
    blobs.fails = False
    assert stage.again(emits, charged=False).ending is Ending.SUCCEEDED


def test_attributes_in_a_blob_are_put_back_once_the_disk_gives_it_again() -> None:
    blobs = FailingBlobs()
    stage = Stage(Acting(), blobs=blobs)
    stage.run(keeps)

    def changes(routine: Routine) -> None:
        routine.text = "changed"  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
        raise ValueError("no")

    blobs.fails = True
    assert stage.run(changes).ending is Ending.HINDERED, "the attribute can't be put back"
    assert stage.again(nothing, charged=False).ending is Ending.HINDERED
    blobs.fails = False
    again = stage.again(nothing, charged=False)
    assert (again.ending, attributes(again)) == (Ending.SUCCEEDED, {})
    assert stage.state["text"] == LARGE
