"""Disks that take no more: nothing is acknowledged, nothing is lost, and a sentence says so."""

from __future__ import annotations

import resource
from pathlib import Path

from tests.integration.hosting import Host, check_effects, read_effects


def forbid_writing(host: Host) -> None:
    """Let no file of a supervisor grow, as on a full disk."""
    _, hard = resource.prlimit(host.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(host.pid, resource.RLIMIT_FSIZE, (1024, hard))


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
