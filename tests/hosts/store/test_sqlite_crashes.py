"""What is left of a SQLite store whose process died, or whose disk was full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.runtime.errors import StoreFailed
from sojourn.runtime.job import Writes
from tests.hosts.store.committer import JOB, ROWS, round_writes
from tests.hosts.store.rows import NOW, head, message, started

COMMITTER = Path(__file__).with_name("committer.py")


def open_store(path: Path) -> SqliteStore:
    return SqliteStore.open(path, clock=lambda: NOW)


def rounds_of(path: Path) -> int:
    """Give how many rounds of the committer are in a store; each must be there whole."""
    store = open_store(path)
    try:
        image = store.read_image(JOB)
    finally:
        store.close()
    ended = len(image.history)
    assert ended % ROWS == 0
    assert [row.sequence for row in image.history] == list(range(1, ended + 1))
    assert [row.message for row in image.messages] == list(range(ended + 1, ended + ROWS + 1))
    return ended // ROWS + 1


@pytest.mark.parametrize("acknowledged", [1, 7, 40, 90])
def test_a_kill_in_the_middle_of_commits_loses_nothing_acknowledged(
    tmp_path: Path, acknowledged: int
) -> None:
    path = tmp_path / "store.db"
    with subprocess.Popen(
        [sys.executable, str(COMMITTER), str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(acknowledged):
            assert process.stdout.readline()
        process.kill()
        last = [int(number) for number in process.stdout.read().split()]
    told = last[-1] + 1 if last else acknowledged

    # One round may be on disk whose acknowledgement was not written any more.
    assert told <= rounds_of(path) <= told + 1


def test_a_disk_that_gets_full_ends_with_a_sentence_and_keeps_whole_rounds(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    finished = subprocess.run(
        [sys.executable, str(COMMITTER), str(path), str(4 * 1024 * 1024)],
        capture_output=True, text=True, timeout=60, check=False,
    )

    acknowledged = [int(number) for number in finished.stdout.split()]
    assert finished.returncode == StoreFailed.exit_code
    said = f"the store {path} failed (disk I/O error, SQLITE_IOERR_WRITE): see to its disk"
    assert finished.stderr.startswith(said)
    assert acknowledged == list(range(len(acknowledged)))
    assert len(acknowledged) >= 100
    assert rounds_of(path) == len(acknowledged)


def test_a_round_that_finds_no_room_is_undone_whole_and_the_next_one_works(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db")
    store.commit(started(1))
    database = store._db  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages + 5}")
    writes = Writes()
    writes.heads[1] = head("job-1", reason="changed")
    writes.messages_put = [message(1, number, data=b"x" * 1000) for number in range(1, 100)]
    writes.shared[(1, "key")] = b"value"

    with pytest.raises(StoreFailed, match=r"store\.db failed \(database or disk is full\): make room on"):
        store.commit(writes)

    image = store.read_image(1)
    assert (image.head, image.messages, image.shared) == (head("job-1"), [], [])

    database.execute("PRAGMA max_page_count = 1000000")
    store.commit(writes)

    assert len(store.read_image(1).messages) == 99
    store.close()


def test_a_round_with_a_value_that_sqlite_cannot_hold_is_undone_whole(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db")
    store.commit(round_writes(0))
    writes = round_writes(1)
    writes.shared[(JOB, "key")] = object()  # type: ignore[assignment] # pyright: ignore[reportArgumentType]

    with pytest.raises(StoreFailed):
        store.commit(writes)

    assert store.history_total(JOB) == 0
    assert len(store.read_image(JOB).messages) == ROWS
    store.commit(round_writes(1))
    assert store.history_total(JOB) == ROWS
    store.close()
