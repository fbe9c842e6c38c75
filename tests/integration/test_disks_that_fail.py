"""Disks that turn read-only, and stores that are damaged: refused in a sentence, never made worse."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.conftest import MakeHost
from tests.integration.disks import Disk, MakeDisk, flip_bit
from tests.integration.hosting import Host, connected, pair_hosts, read_effects
from tests.waiting import wait_until

PAGE = 4096


def refused(host: Host) -> str:
    """Start a host that can't, and give the sentence: one line, on stderr."""
    host.launch()
    host.died()
    assert host.exit_code == 6, host.output
    assert host.output.startswith("error: ")
    assert host.output.count("\n") == 1
    return host.output


# --- read-only ------------------------------------------------------------------------------------


@pytest.mark.xdist_group("loop devices")  # a machine may have few of them
def test_a_disk_that_turns_read_only_stops_the_supervisor_and_loses_nothing(
    make_host: MakeHost, make_disk: MakeDisk
) -> None:
    host = make_host("a")
    disk = make_disk(host.home, 32, kind="ext4")
    host.up()
    host.submit("points:asking", "kept")
    host.wait("kept", "status == 'paused'")
    host.submit("queues:slow", "job", n=200)
    host.wait("job", "work.succeeded >= 20")
    disk.forbid_writing()
    lost = host.run("submit", "points:asking", "--job-id", "lost")
    assert (lost.returncode, lost.stdout) == (5, "")
    host.died()
    assert host.exit_code == 6
    assert "its file system is read-only now: mount it for writing" in host.output
    assert "Traceback" not in host.output
    assert "Read-only file system" in refused(host)
    disk.check()
    host.up()
    final = host.wait("job")
    assert final["result"]["got"] == list(range(200))
    # Like after a power cut, the pages that say what ran are older, and `interrupted` may be missing.
    ended = [entry["message"] for entry in final["history"] if entry["outcome"] == "succeeded"]
    assert len(ended) == len(set(ended))
    assert host.show("kept")["status"] == "paused"
    assert host.run("show", "lost").returncode == 3


@pytest.mark.xdist_group("loop devices")  # a machine may have few of them
def test_a_disk_that_turns_read_only_under_an_idle_host_acknowledges_nothing_more(
    make_host: MakeHost, make_disk: MakeDisk
) -> None:
    host = make_host("a")
    disk = make_disk(host.home, 32, kind="ext4")
    host.up()
    host.submit("points:asking", "job")
    host.wait("job", "status == 'paused'")
    disk.forbid_writing()
    assert "paused" in host.do("jobs")
    done = host.run("resume", "job", "--input", '{"approved": true}')
    assert (done.returncode, done.stdout) == (5, "")
    host.died()
    assert host.exit_code == 6
    disk.check()
    host.up()
    assert host.show("job")["status"] == "paused"
    host.do("resume", "job", "--input", '{"approved": true}')
    assert host.wait("job")["result"]["approved"] is True


@pytest.mark.parametrize("before", ["never up", "up before"])
def test_a_home_on_a_read_only_disk_is_refused_with_what_to_do(
    make_host: MakeHost, make_disk: MakeDisk, before: str
) -> None:
    host = make_host("a")
    disk = make_disk(host.home, 32)
    if before == "up before":
        host.up()
        host.terminate()
        wait_until(lambda: not _busy(disk), 10.0, "nobody to write there any more")
    else:
        disk.remount("ro")
    said = refused(host)
    assert "mount its file system for writing" in said
    disk.remount("rw")
    host.up()


def _busy(disk: Disk) -> bool:
    try:
        disk.remount("ro")
    except AssertionError:
        return True
    return False


# --- damaged stores --------------------------------------------------------------------------------


def root_of(store: Path, name: str) -> int:
    """Give the byte at which a table's or index's first page begins."""
    with closing(sqlite3.connect(store)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
    return (int(page) - 1) * PAGE


def contents(host: Host) -> dict[str, bytes]:
    """Give every file of a store but the one that SQLite's processes share."""
    found = {path.name: path.read_bytes() for path in host.home.glob("store.db*")}
    found.pop("store.db-shm", None)
    return found


@pytest.mark.parametrize(
    "where", ["header", "schema", "jobs", "messages", "attributes", "jobs_by_state", "meta"]
)
def test_a_store_with_a_damaged_page_is_refused_and_left_as_it_is(
    host: Host, tmp_path: Path, where: str
) -> None:
    host.submit("points:asking", "job")
    host.wait("job", "status == 'paused'")
    host.terminate()
    store = host.home / "store.db"
    copy = tmp_path / "copy"
    copy.write_bytes(store.read_bytes())
    at = {"header": 0, "schema": 100}.get(where)
    with store.open("r+b") as file:
        file.seek(root_of(copy, where) if at is None else at)
        file.write(b"\xa5" * 64)
    before = contents(host)
    said = refused(host)
    assert "it is damaged: put a copy back" in said
    assert f"{store}-wal" in said
    assert contents(host) == before
    store.write_bytes(copy.read_bytes())
    host.up()
    assert host.show("job")["status"] == "paused"


def test_a_page_that_is_damaged_under_a_running_host_costs_the_job_that_is_on_it(host: Host) -> None:
    host.submit("queues:slow", "job", n=50)
    host.wait("job")
    host.terminate()
    store = host.home / "store.db"
    with store.open("r+b") as file:  # history isn't looked through at a start
        file.seek(root_of(store, "history"))
        file.write(b"\xa5" * 64)
    host.up()
    done = host.run("show", "job")
    assert done.returncode == 6
    assert "it is damaged: put a copy back" in done.stderr
    assert "job" in host.do("jobs")
    assert host.running


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("UPDATE jobs SET head = x'ff' WHERE job_id = 'job'", False),
        ("UPDATE jobs SET head = substr(head, 1, 40) WHERE job_id = 'job'", False),
        ("UPDATE jobs SET instance = 'other' WHERE job_id = 'job'", False),
        ("DELETE FROM flows WHERE digest = (SELECT max(digest) FROM flows)", False),
        ("UPDATE messages SET routine = CAST(x'ff6e' AS TEXT)", True),
        ("UPDATE messages SET attempts = 'many'", True),
        ("UPDATE attributes SET routine = 'nobody'", True),
    ],
)
def test_a_job_whose_rows_make_no_sense_is_blocked_alone(host: Host, statement: str, shown: bool) -> None:
    host.submit("failing:endless", "job")
    host.wait("job", "failing.retry_count >= 1")
    host.terminate()
    with closing(sqlite3.connect(host.home / "store.db")) as db, db:
        db.execute(statement)
    host.up()
    lines = [line for line in host.do("jobs").splitlines() if line.startswith("job ")]
    assert len(lines) == 1
    assert "blocked" in lines[0]
    assert "can't be read" in lines[0]
    done = host.run("cancel", "job")
    assert done.returncode == 6, done.stderr
    assert "put a copy of the store back" in done.stderr
    seen = host.run("show", "job")
    assert seen.returncode == (0 if shown else 6), seen.stderr
    host.submit("points:asking", "other")
    host.wait("other", "status == 'paused'")
    host.do("resume", "other", "--input", '{"approved": true}')
    assert host.wait("other")["status"] == "completed"


# --- lost commits ----------------------------------------------------------------------------------


def test_a_write_ahead_log_that_lost_the_release_of_a_job_makes_no_second_owner(
    make_host: MakeHost, effects: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    pair_hosts(a, b)
    a.submit("failing:endless", "job")
    a.wait("job", "failing.retry_count >= 1")
    log = a.home / "store.db-wal"
    before = log.read_bytes()
    a.do("migrate", "job", "--to", "b")
    a.kill()
    log.write_bytes(before)
    ran = len([effect for effect in read_effects(effects) if effect.host == "a"])
    a.up()
    assert re.search(r"warning: the store \S+ lacks \d+ commits that were on disk", a.output)
    wait_until(lambda: a.show("job")["status"] == "moved", 20.0, "a to give way to b")
    assert len([effect for effect in read_effects(effects) if effect.host == "a"]) == ran
    assert b.show("job")["epoch"] == 2
    b.do("cancel", "job")


def test_a_job_of_a_store_that_lost_commits_waits_for_a_peer_that_is_away(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    pair_hosts(a, b)
    a.submit("failing:endless", "job")
    a.wait("job", "failing.retry_count >= 1")
    log = a.home / "store.db-wal"
    before = log.read_bytes()
    a.do("migrate", "job", "--to", "b")
    a.kill()
    b.kill()
    log.write_bytes(before)
    a.up()
    document = a.show("job")
    assert document["status"] == "blocked"
    assert "--accept-restored-store" in document["reason"]
    b.up()
    wait_until(lambda: connected(a), 20.0, "a to see b")
    wait_until(lambda: a.show("job")["status"] == "moved", 20.0, "a to give way to b")
    b.do("cancel", "job")


@pytest.mark.parametrize("cut", ["to nothing", "in the last frame", "gone"])
def test_a_host_alone_says_what_it_lost_and_goes_on(host: Host, cut: str) -> None:
    host.submit("points:asking", "first")
    host.wait("first", "status == 'paused'")
    host.terminate()
    host.up()
    host.submit("points:asking", "second")
    host.wait("second", "status == 'paused'")
    host.kill()
    log = host.home / "store.db-wal"
    match cut:
        case "to nothing":
            log.write_bytes(b"")
        case "gone":
            log.unlink()
        case _:
            log.write_bytes(log.read_bytes()[:-100])
    host.up()
    assert re.search(r"warning: the store \S+ lacks \d+ commits that were on disk", host.output)
    assert host.show("first")["status"] == "paused"
    host.do("resume", "first", "--input", '{"approved": true}')
    assert host.wait("first")["status"] == "completed"


def test_a_kill_loses_no_commit_and_nothing_is_said_of_one(host: Host) -> None:
    host.submit("queues:slow", "job", n=100)
    host.wait("job", "work.succeeded >= 10")
    host.kill()
    host.up()
    assert "warning" not in host.output
    host.wait("job")


@pytest.mark.parametrize("name", ["store.db.incarnation", "store.db.commits"])
@pytest.mark.parametrize("fault", ["empty", "flipped"])
def test_a_damaged_file_beside_the_store_is_named(host: Host, name: str, fault: str) -> None:
    host.terminate()
    file = host.home / name
    if fault == "empty":
        file.write_bytes(b"")
    else:
        file.write_bytes(bytes([file.read_bytes()[0] ^ 0x40]) + file.read_bytes()[1:])
    before = contents(host)
    said = refused(host)
    assert str(file) in said
    assert "remove it, if" in said
    assert contents(host) == before
    file.unlink()
    host.up()


def test_a_flipped_bit_in_the_key_is_refused_and_changes_nothing(host: Host) -> None:
    host.terminate()
    key = host.home / "keys" / "host.key"
    flip_bit(key, 3)
    key.write_bytes(key.read_bytes()[:-2])
    said = refused(host)
    assert str(key) in said
    key.unlink()
    host.up()


def test_a_job_that_cannot_be_read_is_taken_from_no_peer_and_stops_no_other(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    pair_hosts(a, b)
    for job in ("damaged", "whole"):
        a.submit("failing:endless", job)
        a.wait(job, "failing.retry_count >= 1")
        a.do("migrate", job, "--to", "b")
    a.terminate()
    with closing(sqlite3.connect(a.home / "store.db")) as db, db:
        db.execute("UPDATE jobs SET head = x'ff' WHERE job_id = 'damaged'")
    a.up()
    wait_until(lambda: connected(a) and connected(b), 20.0, "both to see each other again")
    refused = b.run("migrate", "damaged", "--to", "a")
    assert refused.returncode == 7, refused.stderr
    assert "job damaged can't be read" in refused.stderr
    b.do("migrate", "whole", "--to", "a")
    assert a.show("whole")["epoch"] == 3
    assert b.show("damaged")["epoch"] == 2
    a.do("cancel", "whole")
    b.do("cancel", "damaged")
