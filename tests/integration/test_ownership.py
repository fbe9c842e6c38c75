"""One owner, never lost: hand-offs through files and links that overtake each other."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from sojourn.runtime.job import JobHead
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, pair_hosts, read_effects
from tests.waiting import wait_until


def test_a_job_that_came_back_by_file_is_not_lost_to_a_late_ack(
    make_host: MakeHost, tmp_path: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up(SOJOURN_CRASH_POINT="target.before-send-ack")
    pair_hosts(a, b)
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    mover = a.start("migrate", "job", "--to", "b")
    b.died()
    a.kill()
    mover.communicate(timeout=30)
    b.up()
    file = tmp_path / "job.json"
    b.do("export", "job", str(file), "--release", "--to", "a")
    b.kill()
    a.up()
    a.do("import", str(file))
    assert a.show("job")["epoch"] == 3
    b.up()
    wait_until(lambda: b.show("job")["status"] == "moved", what="the way back to be acknowledged")
    assert a.show("job")["status"] == "paused"
    a.kill()
    a.up()
    assert a.show("job")["status"] == "paused"
    a.do("resume", "job", "--input", '{"approved": true}')
    assert a.wait("job")["status"] == "completed"


def test_who_waits_for_a_job_that_goes_there_and_back_is_answered(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    waiter = a.start("wait", "job")
    reader = a.start("logs", "job", "-f")
    a.migrate("job", b)
    b.migrate("job", a)
    a.do("resume", "job", "--input", '{"approved": true}')
    _, complaint = waiter.communicate(timeout=30)
    assert waiter.returncode == 0, complaint
    _, complaint = reader.communicate(timeout=30)
    assert reader.returncode == 0, complaint


def kept_head(host: Host) -> JobHead:
    """Read the head of a host's only job from its store."""
    db = sqlite3.connect(f"file:{host.home / 'store.db'}?mode=ro", uri=True)
    try:
        ((head,),) = db.execute("SELECT head FROM jobs")
    finally:
        db.close()
    return msgspec.msgpack.decode(head, type=JobHead)


def test_a_pause_that_waits_for_a_turn_is_answered_though_the_job_moves(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    a.submit("crashing:sleeper", "job", seconds=30.0)
    wait_until(lambda: read_effects(effects), what="the turn to begin")
    pause = a.start("pause", "job")
    wait_until(lambda: kept_head(a).held, what="the pause to be asked for")
    a.do("migrate", "job", "--to", "b", "--grace", "0.3")
    said, complaint = pause.communicate(timeout=30)
    assert pause.returncode == 0, said + complaint
    assert b.show("job")["status"] == "paused"


def test_a_cancel_that_waits_for_a_turn_ends_a_hand_off_that_is_asked_for_meanwhile(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, _ = pair
    a.submit("crashing:sleeper", "job", seconds=30.0)
    wait_until(lambda: read_effects(effects), what="the turn to begin")
    cancel = a.start("cancel", "job")
    wait_until(lambda: kept_head(a).cancelling, what="the cancel to be asked for")
    done = a.run("migrate", "job", "--to", "b", "--grace", "0.3")
    assert (done.returncode, "cancelled" in done.stderr) == (7, True)
    said, complaint = cancel.communicate(timeout=30)
    assert cancel.returncode == 0, said + complaint
    assert a.show("job")["status"] == "cancelled"
