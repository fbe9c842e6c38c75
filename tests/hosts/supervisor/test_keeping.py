"""Room for arriving jobs: what was promised is held, and a disk that is short gets back all the rest."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from sojourn.hosts.supervisor.keeping import PLENTY, STEP, Reservations
from sojourn.runtime.errors import HostUnable
from sojourn.runtime.handoff.target import COPIES, LEAST_FREE

KIB = 1024


class Usage(NamedTuple):
    """What ``shutil.disk_usage`` gives, as far as it is read."""

    free: int


def held(folder: Path) -> int:
    """Give the bytes that are held."""
    return sum(path.stat().st_size for path in folder.iterdir())


def leave(patch: pytest.MonkeyPatch, free: int) -> None:
    """Make the disk tell that so much is free."""

    def usage(_folder: Path) -> Usage:
        return Usage(free)

    patch.setattr(shutil, "disk_usage", usage)


@pytest.mark.parametrize("free", [LEAST_FREE + 4 * STEP - 1, 1 << 40])
def test_what_was_promised_is_held_until_it_is_released_and_nothing_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    leave(monkeypatch, free)
    room = Reservations(tmp_path)
    for number in range(20):
        room.reserve(str(number), 100 * KIB)
        assert held(tmp_path) >= COPIES * (number + 1) * 100 * KIB
    for number in range(20):
        room.reserve(str(number), 10 * KIB)
        room.release(str(number))
        room.give_back()
        assert held(tmp_path) >= COPIES * (19 - number) * 100 * KIB
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_short_gets_back_whatever_is_not_due_before_it_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Reservations(tmp_path)
    leave(monkeypatch, 1 << 40)
    room.reserve("one", 500 * KIB)
    room.reserve("other", 500 * KIB)
    room.reserve("one", 300 * KIB)
    room.give_back()
    assert held(tmp_path) > COPIES * 800 * KIB, "there is plenty: nothing is done for each job"
    leave(monkeypatch, PLENTY - 1)
    room.give_back()
    assert held(tmp_path) == COPIES * 800 * KIB


def test_the_file_is_not_touched_for_each_of_many_small_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(monkeypatch, 1 << 40)
    room = Reservations(tmp_path)
    room.reserve("stays", 1)
    sizes = set[int]()
    for number in range(500):
        room.reserve(str(number), 250 * KIB)
        room.give_back()
        sizes.add(held(tmp_path))
        room.release(str(number))
        room.give_back()
        sizes.add(held(tmp_path))
    assert len(sizes) == 1


def test_what_does_not_fit_is_refused_and_then_nothing_is_kept_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(monkeypatch, LEAST_FREE + 1000 * KIB)
    room = Reservations(tmp_path)
    room.reserve("small", 400 * KIB)
    leave(monkeypatch, LEAST_FREE + 200 * KIB)
    with pytest.raises(HostUnable, match="no room"):
        room.reserve("large", 400 * KIB)
    room.give_back()
    assert held(tmp_path) == COPIES * 400 * KIB


def test_an_earlier_runs_room_is_kept_for_what_is_still_open_and_goes_with_the_last_of_it(
    tmp_path: Path,
) -> None:
    before = Reservations(tmp_path)
    for m in ("one", "other", "over"):
        before.reserve(m, 500 * KIB)
    kept = held(tmp_path)
    room = Reservations(tmp_path)
    room.keep_only({"one", "other"})
    assert kept - 2 <= held(tmp_path) <= kept
    room.release("one")
    room.give_back()
    assert held(tmp_path) >= COPIES * 500 * KIB
    room.release("other")
    room.give_back()
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_runs_room_goes_where_nothing_is_open(tmp_path: Path) -> None:
    Reservations(tmp_path).reserve("over", KIB)
    Reservations(tmp_path).keep_only(())
    assert list(tmp_path.iterdir()) == []
