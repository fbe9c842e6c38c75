"""Disks that take no more: nothing is acknowledged, nothing is lost, and a sentence says so."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from sojourn.runtime.handoff.target import LEAST_FREE
from tests.integration.conftest import MakeHost
from tests.integration.disks import MakeDisk
from tests.integration.hosting import Host, check_effects, connected, pair_hosts, read_effects
from tests.integration.moving import begin_move, go_on, stopping_at, wait_stopped
from tests.waiting import wait_until


def forbid_writing(host: Host, beyond: int = 1024) -> None:
    """Let no file of a supervisor grow beyond a size, as on a full disk."""
    _, hard = resource.prlimit(host.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(host.pid, resource.RLIMIT_FSIZE, (beyond, hard))


def test_a_round_that_cannot_be_written_ends_the_supervisor_and_acknowledges_nothing(
    host: Host
) -> None:
    host.submit("points:asking", "kept")
    host.wait("kept", "status == 'paused'")
    forbid_writing(host)
    done = host.run("submit", "points:asking", "--job-id", "lost")
    assert done.returncode == 5, done.stderr
    assert done.stdout == ""
    host.died()
    assert host.exit_code == 6
    assert "store.db failed" in host.output
    assert "Traceback" not in host.output
    host.up()
    assert host.run("show", "lost").returncode == 3
    host.do("resume", "kept", "--input", '{"approved": true}')
    assert host.wait("kept")["result"]["approved"] is True


def test_a_store_that_takes_no_more_during_work_loses_and_repeats_nothing(
    host: Host, effects: Path
) -> None:
    host.submit("queues:slow", "job", n=300)
    host.wait("job", "work.succeeded >= 50")
    forbid_writing(host)
    host.died()
    assert host.exit_code == 6
    host.up()
    assert host.wait("job")["result"]["got"] == list(range(300))
    check_effects(read_effects(effects), host.show("job", history=5000))


def test_a_process_whose_page_cannot_be_made_blocks_its_jobs_until_mended(host: Host) -> None:
    pages = host.home / "pages"
    pages.rmdir()
    pages.write_text("in the way")
    host.submit("points:asking", "job")
    blocked = host.wait("job", "status == 'blocked'")
    assert "can't be written" in blocked["reason"]
    assert blocked["history"] == []
    pages.unlink()
    pages.mkdir(mode=0o700)
    host.do("retry", "job")
    assert host.wait("job", "status == 'paused'")["history"][0]["attempt"] == 1


def test_a_target_without_room_for_the_job_refuses_it_before_it_is_released(
    pair: tuple[Host, Host], make_disk: MakeDisk
) -> None:
    a, b = pair
    a.submit("large:crowd", "job", n=20_000)
    a.wait("job", "crowd.succeeded >= 1")
    a.do("pause", "job")
    make_disk(b.home / "reserved", 1)
    done = a.run("migrate", "job", "--to", "b", timeout=120)
    assert done.returncode == 7, done.stderr
    assert "no room" in done.stderr
    assert not [entry for entry in a.log() if entry["event"] == "job freezes"], "it was frozen in vain"
    assert a.show("job")["status"] == "paused"
    assert b.running
    assert list((b.home / "reserved").iterdir()) == []


def test_room_is_kept_until_the_job_is_owned_over_a_restart_too(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up(SOJOURN_CRASH_POINT="target.after-write-prepared")
    pair_hosts(a, b)
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    mover = a.start("migrate", "job", "--to", "b")
    b.died()
    assert len(list((b.home / "reserved").iterdir())) == 1
    b.up()
    mover.communicate(timeout=60)
    assert b.wait("job", "status == 'paused'")["epoch"] == 2
    assert list((b.home / "reserved").iterdir()) == []


def test_a_full_disk_stops_the_supervisor_and_room_is_all_that_it_needs_to_go_on(
    make_host: MakeHost, make_disk: MakeDisk, effects: Path
) -> None:
    host = make_host("a")
    disk = make_disk(host.home, 32)
    host.up()
    host.submit("queues:slow", "job", n=200)
    host.wait("job", "work.succeeded >= 20")
    disk.fill()
    host.died()
    for _ in range(2):  # while it runs, and at its start
        assert host.exit_code == 6
        assert "make room on its disk" in host.output
        assert "Traceback" not in host.output
        host.launch()
        host.died()
    disk.make_room()
    host.up()
    assert host.wait("job")["result"]["got"] == list(range(200))
    check_effects(read_effects(effects), host.show("job", history=5000))


@pytest.mark.parametrize("left", [0, 4096, 65536])
def test_a_home_on_a_full_disk_is_refused_with_a_sentence(
    make_host: MakeHost, make_disk: MakeDisk, left: int
) -> None:
    host = make_host("a")
    disk = make_disk(host.home, 4)
    disk.fill(left)
    host.launch()
    host.died()
    assert host.exit_code == 6
    assert host.output.startswith("error: ")
    assert host.output.count("\n") == 1
    assert "make room on its disk" in host.output
    assert str(host.home) in host.output


def test_a_full_folder_of_blobs_blocks_the_job_that_needs_it_and_no_other(
    make_host: MakeHost, make_disk: MakeDisk
) -> None:
    host = make_host("a").up()
    disk = make_disk(host.home / "blobs", 1)
    disk.fill(100_000)
    host.submit("large:large", "job", size=300_000)
    blocked = host.wait("job", "status == 'blocked'")
    assert "No space left on device" in blocked["reason"]
    assert "sojourn retry job" in blocked["reason"]
    host.submit("queues:slow", "other", n=5)
    assert host.wait("other")["status"] == "completed"
    disk.make_room()
    host.do("retry", "job")
    asked = host.wait("job", "status == 'paused'")
    charged = [entry for entry in asked["history"] if entry["outcome"] != "interrupted"]
    assert [(entry["attempt"], entry["outcome"]) for entry in charged] == [(1, "succeeded")]
    assert [path.name for path in disk.folder.iterdir() if path.name.startswith(".new-")] == []
    host.do("resume", "job", "--input", '{"size": 300000}')
    assert host.wait("job")["result"] == {"same": True}
    host.kill()


@pytest.mark.parametrize("release", [False, True])
def test_an_export_that_finds_no_room_leaves_nothing_and_the_job_where_it_is(
    pair: tuple[Host, Host], make_disk: MakeDisk, tmp_path: Path, release: bool
) -> None:
    a, b = pair
    a.submit("large:large", "job", size=2_000_000)
    a.wait("job", "status == 'paused'")
    disk = make_disk(tmp_path / "small", 1)
    options = ("--release", "--to", "b") if release else ()
    done = a.run("export", "job", str(disk.folder / "file"), *options)
    assert done.returncode == (7 if release else 6), done.stderr
    assert "No space left on device" in done.stderr
    assert list(disk.folder.iterdir()) == []
    assert a.show("job")["status"] == "paused"
    assert a.show("job")["epoch"] == 1
    file = tmp_path / "file"
    a.do("export", "job", str(file), *options)
    b.do("import", str(file))


@pytest.mark.parametrize("kind", ["rows", "blobs"])
def test_a_target_with_little_room_refuses_the_job_and_its_own_go_on(
    make_host: MakeHost, make_disk: MakeDisk, kind: str
) -> None:
    a, b = make_host("a").up(), make_host("b")
    disk = make_disk(b.home, 96)
    b.up()
    pair_hosts(a, b)
    b.submit("ticking:flow", "own", left=100_000, pause=0.02)
    if kind == "rows":
        a.submit("large:crowd", "job", n=40_000)
        a.wait("job", "crowd.succeeded >= 1")
        a.do("pause", "job")
    else:
        a.submit("large:large", "job", size=12_000_000)
        a.wait("job", "status == 'paused'")
    disk.fill(LEAST_FREE + (7_000_000 if kind == "blobs" else -2_000_000))
    done = a.run("migrate", "job", "--to", "b", timeout=120)
    assert done.returncode == 7, done.stderr
    assert "no room" in done.stderr
    assert a.show("job")["status"] == "paused"
    before = b.show("own")["routines"]["ticker"]["succeeded"]
    b.wait("own", f"ticker.succeeded >= {before + 3}")
    assert kind == "rows" or disk.free > LEAST_FREE, "what came of the blob isn't given back"
    disk.make_room()
    a.do("migrate", "job", "--to", "b")
    assert b.show("job")["epoch"] == 2


@pytest.mark.parametrize(
    ("full", "point"),
    [
        ("a", "source.before-write-precopy"), ("a", "source.before-write-frozen"),
        ("a", "source.before-write-released"), ("a", "source.before-write-gone"),
        ("b", "target.before-write-staging"), ("b", "target.before-write-prepared"),
        ("b", "target.before-write-owned"), ("b", "target.before-write-confirmed"),
    ],
)
def test_a_disk_that_is_full_in_the_midst_of_a_hand_off_loses_no_job_and_makes_no_second_owner(
    make_host: MakeHost, make_disk: MakeDisk, effects: Path, full: str, point: str
) -> None:
    a, b = make_host("a"), make_host("b")
    struck, other = (a, b) if full == "a" else (b, a)
    disk = make_disk(struck.home, 48)
    struck.up(**stopping_at(point))
    other.up()
    pair_hosts(a, b)
    a.submit("queues:slow", "job", n=400)
    a.wait("job", "work.succeeded >= 5")
    begin_move(a, "job", b)
    wait_stopped(struck)
    disk.fill()
    go_on(struck)
    struck.died()
    assert struck.exit_code == 6
    assert "make room on its disk" in struck.output
    other.submit("queues:slow", "other", n=3)
    assert other.wait("other")["status"] == "completed"
    disk.make_room()
    struck.up()
    wait_until(lambda: connected(a) and connected(b), 20.0, "both to see each other again")
    final = a.wait("job", timeout=90.0)
    assert final["status"] == "completed"
    document = (a if final["host"] == "a" else b).show("job", history=5000)
    assert sorted(document["result"]["got"]) == list(range(400))
    check_effects(read_effects(effects), document)
