"""The SQLite store's file: versions, damage, durability, and the incarnation beside it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from sojourn.hosts.store.incarnation import read_incarnation, write_incarnation
from sojourn.hosts.store.schema import SCHEMA_VERSION
from sojourn.hosts.store.sqlite import COMMANDS_BETWEEN_PRUNES, SqliteStore
from sojourn.runtime.errors import StoreFailed, StoreTooNew
from sojourn.runtime.job import Writes
from tests.hosts.store.rows import DAY, NOW, started


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def open_store(path: Path) -> SqliteStore:
    return SqliteStore.open(path, clock=lambda: NOW)


def open_and_close(path: Path) -> SqliteStore:
    store = open_store(path)
    store.close()
    return store


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


# --- versions -------------------------------------------------------------------------------


def test_a_fresh_store_has_this_versions_schema(path: Path) -> None:
    open_and_close(path)

    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_every_version_has_its_migration_in_the_package() -> None:
    folder = resources.files("sojourn.hosts.store") / "migrations"

    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))

    assert names == [f"{number:04}.sql" for number in range(1, SCHEMA_VERSION + 1)]


def test_a_store_of_a_newer_version_is_refused_unchanged_with_both_versions(path: Path) -> None:
    open_and_close(path)
    change(path, f"PRAGMA user_version = {SCHEMA_VERSION + 41}")
    before = path.read_bytes()

    with pytest.raises(StoreTooNew) as refused:
        open_store(path)

    assert f"schema version {SCHEMA_VERSION + 41}" in refused.value.message
    assert f"up to {SCHEMA_VERSION}:" in refused.value.message
    assert path.read_bytes() == before


# --- damage ---------------------------------------------------------------------------------


def test_a_file_that_is_no_store_is_refused_with_a_sentence(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to look at " * 100)

    with pytest.raises(StoreFailed, match="it is damaged: put a copy back"):
        open_store(path)


def test_pages_that_are_overwritten_are_reported_as_damage(path: Path) -> None:
    store = open_store(path)
    for row in range(1, 200):
        store.commit(started(row))
    store.close()
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)

    with (
        pytest.raises(StoreFailed, match="it is damaged: put a copy back"),
        closing(open_store(path)) as damaged,
    ):
        damaged.heads()


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE jobs SET head = x'ff'", "job job-1 can't be read: .* a record of it that can't be"),
        ("DELETE FROM flows", "job job-1 can't be read: .* lacks its flow"),
        ("UPDATE meta SET value = 'x' WHERE name = 'incarnation'", "an incarnation or .* that is none"),
    ],
)
def test_rows_that_cannot_be_are_reported_as_damage(path: Path, statement: str, sentence: str) -> None:
    store = open_store(path)
    store.commit(started(1))
    store.close()
    change(path, statement)

    with pytest.raises(StoreFailed, match=sentence), closing(open_store(path)) as damaged:
        damaged.read_image(1)


def test_a_folder_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="see that its folder exists"):
        open_store(tmp_path / "nowhere" / "store.db")


# --- durability -----------------------------------------------------------------------------


def test_commits_wait_for_the_disk(path: Path) -> None:
    store = open_store(path)
    database = store._db  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    full = 2
    assert database.execute("PRAGMA synchronous").fetchone() == (full,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_a_store_that_another_program_reads_is_written_meanwhile(path: Path) -> None:
    store = open_store(path)
    store.commit(started(1))
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM jobs").fetchone() == (1,)

        store.commit(started(2))

        assert reader.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    assert len(store.heads()) == 2
    store.close()


# --- the incarnation ------------------------------------------------------------------------


def beside(path: Path) -> Path:
    return path.with_name("store.db.incarnation")


def test_the_file_beside_the_store_follows_its_incarnation(path: Path) -> None:
    for number in (1, 2, 3):
        assert open_and_close(path).incarnation == number
        assert read_incarnation(beside(path)) == number


def test_a_store_put_back_from_a_copy_is_noticed_until_someone_accepts_it(
    path: Path, tmp_path: Path
) -> None:
    open_and_close(path)
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)
    assert not open_and_close(path).restored
    shutil.copy(copy, path)

    restored = open_and_close(path)

    assert restored.restored
    assert restored.incarnation == 3
    again = open_store(path)
    assert again.restored

    writes = Writes()
    writes.meta_put = {"restored": "0"}
    again.commit(writes)
    again.close()

    assert not open_and_close(path).restored


def test_a_start_that_ends_before_the_file_is_written_is_no_restored_store(path: Path) -> None:
    open_and_close(path)
    in_the_way = path.with_name("store.db.incarnation.new")
    in_the_way.mkdir()
    with pytest.raises(StoreFailed, match=r"store\.db\.incarnation can't be written"):
        open_store(path)
    in_the_way.rmdir()

    store = open_and_close(path)

    assert not store.restored
    assert store.incarnation == 3


def test_a_lost_incarnation_file_is_written_again(path: Path) -> None:
    open_and_close(path)
    beside(path).unlink()

    assert open_and_close(path).incarnation == 2
    assert read_incarnation(beside(path)) == 2


def test_a_damaged_incarnation_file_is_a_sentence(path: Path) -> None:
    open_and_close(path)
    beside(path).write_text("no number")

    with pytest.raises(StoreFailed, match="remove it, if the store beside it was never put back"):
        open_store(path)


def test_an_incarnation_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "number"
    assert read_incarnation(file) == 0
    write_incarnation(file, 41)
    write_incarnation(file, 5)

    assert read_incarnation(file) == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["number"]


# --- a long run -----------------------------------------------------------------------------


def test_old_answers_go_while_the_store_stays_open(path: Path) -> None:
    store = open_store(path)
    writes = Writes()
    writes.commands_put = [("old", b"answer", NOW - DAY - 1), ("young", b"answer", NOW - DAY + 1)]
    store.commit(writes)
    assert store.command_reply("old") == b"answer"

    writes = Writes()
    writes.commands_put = [
        (f"command {number}", b"answer", NOW) for number in range(COMMANDS_BETWEEN_PRUNES)
    ]
    store.commit(writes)

    assert store.command_reply("old") is None
    assert store.command_reply("young") == b"answer"
    store.close()
