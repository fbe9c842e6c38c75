"""Progress pages between the process that writes and the supervisor that reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from sojourn.actors.process.page import PageWriter
from sojourn.hosts.pages import PageReader, create_page, leftover_pages
from sojourn.runtime.progress_page import PAGE_BYTES, RING, Begun
from sojourn.runtime.wire.actor import Turn

EPOCH = 3


def turn(dispatch: int, *, job: int = 5, message: int = 9, attempt: int = 2) -> Turn:
    return Turn(dispatch, job, message, "input", attempt, b"")


def test_a_new_page_says_that_nothing_ever_ran(tmp_path: Path) -> None:
    page = PageReader(create_page(tmp_path, "fetch-1"))
    running = page.read()
    assert (running.begun, running.in_flight, running.recent) == (0, False, ())
    page.close()


def test_an_attempt_is_in_flight_from_its_begin_to_its_end(tmp_path: Path) -> None:
    path = create_page(tmp_path, "fetch-1")
    writer, reader = PageWriter(str(path)), PageReader(path)
    writer.begin(turn(41), EPOCH)
    began = reader.read()
    assert began.in_flight
    assert began.recent == (Begun(41, 5, EPOCH, 9, 2),)
    assert (began.begun, began.job, began.epoch, began.message, began.attempt) == (41, 5, EPOCH, 9, 2)
    assert reader.glance() == replace(began, recent=())
    writer.finish(41)
    ended = reader.read()
    assert (ended.begun, ended.finished, ended.in_flight) == (41, 41, False)
    reader.close()


def test_a_page_is_readable_after_its_reader_was_opened_late_and_its_writer_is_gone(tmp_path: Path) -> None:
    path = create_page(tmp_path, "fetch-1")
    writer = PageWriter(str(path))
    writer.begin(turn(1), EPOCH)
    del writer
    reader = PageReader(path)
    path.unlink()
    assert reader.read().begun == 1
    reader.close()


def test_the_ring_keeps_the_latest_attempts(tmp_path: Path) -> None:
    path = create_page(tmp_path, "fetch-1")
    writer, reader = PageWriter(str(path)), PageReader(path)
    for dispatch in range(1, RING + 11):
        writer.begin(turn(dispatch), EPOCH)
        writer.finish(dispatch)
    recent = {entry.dispatch for entry in reader.read().recent}
    assert recent == set(range(11, RING + 11))
    reader.close()


@pytest.mark.parametrize("size", [0, 20, 100, PAGE_BYTES - 1])
def test_a_page_that_was_cut_off_ends_nobody(tmp_path: Path, size: int) -> None:
    path = create_page(tmp_path, "fetch-1")
    writer, reader = PageWriter(str(path)), PageReader(path)
    writer.begin(turn(41), EPOCH)
    os.truncate(path, size)
    assert reader.read().begun == (41 if size else 0)
    assert reader.glance().begun == (41 if size else 0)
    assert leftover_pages(tmp_path) == [(path, None)]
    reader.close()


def test_the_pages_of_an_earlier_run_are_found(tmp_path: Path) -> None:
    for name, dispatch in (("fetch-1", 7), ("load-2", 8)):
        path = create_page(tmp_path, name)
        PageWriter(str(path)).begin(turn(dispatch), EPOCH)
    found = leftover_pages(tmp_path)
    begun = {path.name: running and running.begun for path, running in found}
    assert begun == {"fetch-1": 7, "load-2": 8}
