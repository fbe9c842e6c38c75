"""Disks that take no more: nothing is acknowledged, nothing is lost, and a sentence says so."""

from __future__ import annotations

import resource
from pathlib import Path

from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, check_effects, pair_hosts, read_effects


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
    pair: tuple[Host, Host]
) -> None:
    a, b = pair
    a.submit("large:crowd", "job", n=100_000)
    a.wait("job", "crowd.succeeded >= 1")
    a.do("pause", "job")
    forbid_writing(b, beyond=6_000_000)
    done = a.run("migrate", "job", "--to", "b", timeout=120)
    assert done.returncode == 6, done.stderr
    assert "no room" in done.stderr
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
