"""The SQLite store's file: versions, damage, durability, and the incarnation beside it."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from sojourn.hosts.store.incarnation import read_incarnation, write_incarnation
from sojourn.hosts.store.mark import read_mark
from sojourn.hosts.store.protocol import StoredJob, UnreadableJob
from sojourn.hosts.store.rows import problem_of_image
from sojourn.hosts.store.schema import SCHEMA_VERSION
from sojourn.hosts.store.sqlite import COMMANDS_BETWEEN_PRUNES, SqliteStore
from sojourn.runtime.errors import StoreFailed, StoreTooNew
from sojourn.runtime.job import Origin, Ownership, Writes
from tests.hosts.store.rows import DAY, NOW, entry, head, message, started


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


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE jobs SET head = x'ff' WHERE row = 2", "a record of it that can't be read"),
        ("UPDATE messages SET attempts = 'many' WHERE job = 2", "rows of it that can't be"),
        ("UPDATE messages SET due = -1 WHERE job = 2", "rows of it that can't be"),
        ("UPDATE messages SET slot = CAST(x'ff6e' AS TEXT), data = 7 WHERE job = 2", "rows of it that"),
        ("UPDATE attributes SET value = 1.5 WHERE job = 2", "rows of it that can't be"),
        ("UPDATE history SET ended = 'late' WHERE job = 2", "rows of it that can't be"),
        ("UPDATE history SET origin = 9 WHERE job = 2", "lacks origin 9 of its history"),
    ],
)
def test_a_job_that_cannot_be_read_hinders_no_other(path: Path, statement: str, sentence: str) -> None:
    store = open_store(path)
    for row in (1, 2, 3):
        writes = started(row)
        writes.messages_put = [message(row, 1)]
        writes.attributes = {(row, "load", "", "a"): b"1"}
        writes.history = [entry(row, 1)]
        writes.origins_put = {7: Origin("a", 1, "code")}
        store.commit(writes)
    store.close()
    change(path, statement)

    with closing(open_store(path)) as damaged:
        first, second, third = damaged.read_jobs([1, 2, 3])

    assert isinstance(second, UnreadableJob)
    assert sentence in second.reason
    assert second.job_id == "job-2"
    for job in (first, third):
        assert isinstance(job, StoredJob)
        assert [row.message for row in job.image.messages] == [1]


def test_many_jobs_take_as_many_queries_as_one(path: Path) -> None:
    rows = range(1, 51)
    with closing(open_store(path)) as store:
        for row in rows:
            writes = started(row)
            writes.messages_put = [message(row, 1)]
            store.commit(writes)
        asked: list[str] = []
        database = store._db  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        database.set_trace_callback(asked.append)

        one = [len(list(store.read_jobs([7]))), len(asked)]
        asked.clear()
        many = [len(list(store.read_jobs(rows))), len(asked)]

    assert one == [1, many[1]]
    assert many[0] == len(rows)


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


# --- commits that are lost --------------------------------------------------------------------


def mark_of(path: Path) -> int:
    return read_mark(path.with_name("store.db.commits"))


def test_the_mark_beside_the_store_follows_its_commits(path: Path) -> None:
    store = open_store(path)
    first = mark_of(path)
    for row in (1, 2, 3):
        store.commit(started(row))
        assert mark_of(path) == first + row
        assert store.meta()["commits"] == str(first + row)
    store.close()
    again = open_and_close(path)
    assert (again.lost, again.restored) == (0, False)


def test_a_round_that_fails_moves_neither_count_nor_mark(path: Path) -> None:
    store = open_store(path)
    before = mark_of(path)
    writes = started(1)
    writes.shared[(1, "key")] = object()  # type: ignore[assignment] # pyright: ignore[reportArgumentType]
    with pytest.raises(StoreFailed):
        store.commit(writes)
    assert (mark_of(path), store.meta()["commits"]) == (before, str(before))
    store.commit(started(1))
    assert mark_of(path) == before + 1
    store.close()


@pytest.mark.parametrize("commits", [1, 3])
def test_a_store_that_lost_its_last_commits_is_another_store(path: Path, commits: int) -> None:
    store = open_store(path)
    log = path.with_name("store.db-wal")
    store.commit(started(1))
    kept, size = path.read_bytes(), log.read_bytes()
    for row in range(2, 2 + commits):
        store.commit(started(row))
    identity = store.store_id
    store.close()
    path.write_bytes(kept)
    log.write_bytes(size)

    behind = open_store(path)

    assert (behind.lost, behind.restored) == (commits, True)
    assert behind.store_id != identity
    assert [head.job_id for _, head in behind.heads()] == ["job-1"]
    behind.close()
    assert open_and_close(path).lost == 0, "what is known already is said once"


def test_a_mark_that_is_older_than_the_store_means_nothing(path: Path) -> None:
    store = open_store(path)
    older = path.with_name("store.db.commits").read_bytes()
    store.commit(started(1))
    store.close()
    path.with_name("store.db.commits").write_bytes(older)

    again = open_and_close(path)

    assert (again.lost, again.restored) == (0, False)


def test_a_commit_that_gives_a_job_away_is_marked_on_disk_before_it_is_acknowledged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(path)
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    store.commit(started(1))
    assert synced == []
    for ownership in (Ownership.RELEASED, Ownership.GONE):
        writes = Writes()
        writes.heads[1] = head("job-1", ownership=ownership)
        store.commit(writes)
    assert len(synced) == 2
    store.close()


@pytest.mark.parametrize("content", [b"", b"1", b"x" * 30, b"0" * 20 + b" 00000000\n"])
def test_a_damaged_mark_is_a_sentence(path: Path, content: bytes) -> None:
    open_and_close(path)
    path.with_name("store.db.commits").write_bytes(content)

    with pytest.raises(StoreFailed, match=r"store\.db\.commits can't be read .*: remove it, if"):
        open_store(path)


# --- bits that flip ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_is_found_or_concerns_rows_and_never_breaks_the_reader(
    path: Path, seed: int
) -> None:
    store = open_store(path)
    for row in range(1, 40):
        store.commit(started(row))
    store.close()
    whole = path.read_bytes()
    chance = random.Random(seed)
    found = 0
    for _ in range(60):
        content = bytearray(whole)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(4)
        path.write_bytes(content)
        path.with_name("store.db-wal").unlink(missing_ok=True)
        try:
            with closing(open_store(path)) as damaged:
                damaged.heads()
                for job in damaged.read_jobs(damaged.live_jobs()):
                    found += isinstance(job, UnreadableJob) or problem_of_image(
                        job.image, {"load"}
                    ) is not None
        except StoreFailed:
            found += 1
    assert found > 0
