"""The supervisor's own log: statuses one by one or, of a flood of jobs, counted; a full file rotates."""

from __future__ import annotations

import json
import logging
import logging.handlers
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from sojourn.hosts.home import Home
from sojourn.hosts.supervisor import journal
from sojourn.runtime.engine.inputs import StatusChange
from sojourn.runtime.job import JobStatus


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home whose journal is open; logging is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    home = Home(tmp_path / "home")
    home.create()
    journal.open_journal(home, "a", quiet=True)
    yield home
    file_of(root).close()
    root.handlers, root.level = handlers, level
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def file_of(root: logging.Logger) -> logging.handlers.RotatingFileHandler:
    """Give the journal's own handler; pytest has some too."""
    kind = logging.handlers.RotatingFileHandler
    return next(handler for handler in root.handlers if isinstance(handler, kind))


def lines(home: Home) -> list[dict[str, object]]:
    return [json.loads(line) for line in home.log_file.read_text().splitlines()]


def completed(jobs: int) -> list[StatusChange]:
    return [
        StatusChange(row, f"j{row}", None, JobStatus.RUNNING, JobStatus.COMPLETED)
        for row in range(1, jobs + 1)
    ]


def test_each_status_of_a_few_jobs_has_its_line(home: Home) -> None:
    statuses = journal.Statuses(structlog.get_logger())
    for change in completed(journal.LINES_PER_SECOND):
        statuses.tell([change], 10.0)

    found = lines(home)
    assert [line["job"] for line in found] == [f"j{n}" for n in range(1, journal.LINES_PER_SECOND + 1)]
    assert {(line["before"], line["after"], line["host"]) for line in found} == {
        ("running", "completed", "a")
    }


def test_a_flood_of_statuses_is_counted_and_told_once_a_second(home: Home) -> None:
    blocked = StatusChange(9, "j9", "no code", JobStatus.QUEUED, JobStatus.BLOCKED)
    statuses = journal.Statuses(structlog.get_logger())
    statuses.tell(completed(5000), 10.0)
    statuses.tell([blocked, blocked], 10.9)
    assert len(lines(home)) == journal.LINES_PER_SECOND
    assert statuses.due == 11.0
    statuses.tell([], 11.0)
    assert statuses.due is None
    statuses.tell([blocked], 11.1)

    *counted, last = lines(home)[journal.LINES_PER_SECOND :]
    assert {(line["before"], line["after"]): line["jobs"] for line in counted} == {
        ("running", "completed"): 5000 - journal.LINES_PER_SECOND, ("queued", "blocked"): 2,
    }
    assert last["job"] == "j9"


def test_what_was_counted_is_told_at_the_end(home: Home) -> None:
    statuses = journal.Statuses(structlog.get_logger())
    statuses.tell(completed(journal.LINES_PER_SECOND + 3), 10.0)
    statuses.tell_counted()
    assert lines(home)[-1]["jobs"] == 3


def test_a_full_file_is_put_aside(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_of(logging.getLogger()), "maxBytes", 200)
    log = structlog.get_logger()
    for number in range(4):
        log.info("something", number=number, text="x" * 150)

    kept = sorted(path.name for path in home.log_file.parent.glob(home.log_file.name + "*"))
    assert len(kept) == 1 + journal.FILES_KEPT
    assert [line["number"] for line in lines(home)] == [3]


def test_a_log_that_finds_no_room_says_so_once_and_holds_nothing_up(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    file = file_of(logging.getLogger())
    home.log_file.unlink()
    home.log_file.symlink_to("/dev/full")
    file.close()
    for number in range(3):
        structlog.get_logger().info("a line", number=number)
    with pytest.raises(OSError, match="No space left"):
        file.close()  # what it holds back finds no room either
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"warning: the log {home.log_file} can't be written: ")
