"""Moves where only one side can be dialled, of several jobs, there and back, and in doubt."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.conftest import MakeHost
from tests.integration.hosting import FLOWS, Host, attempts, check_effects, pair_hosts, read_effects
from tests.integration.moving import dying_at, warm_up
from tests.waiting import wait_until


def test_one_side_that_dials_serves_both_directions(make_host: MakeHost, effects: Path) -> None:
    a, b = make_host("a").up(), make_host("b", listen=False).up()
    pair_hosts(a, b)
    warm_up(b, "failing:crossing")
    a.submit("failing:crossing", "job")
    a.wait("job", "failing.retry_count >= 1")
    a.migrate("job", b)
    b.wait("job", "failing.retry_count >= 3")
    b.migrate("job", a)
    final = a.wait("job")
    assert (final["status"], final["epoch"]) == ("completed", 3)
    assert attempts(final, "failing")[0][1:] == (1, "failed", "a")
    assert [o[1] for o in attempts(final, "failing")] == [1, 2, 3, 4]
    check_effects(read_effects(effects), final)


def test_several_jobs_move_one_after_another(pair: tuple[Host, Host]) -> None:
    a, b = pair
    for job in ("one", "two", "three"):
        a.submit("points:asking", job)
        a.wait(job, "status == 'paused'")
    said = a.do("migrate", "one", "two", "three", "--to", "b")
    assert [line.split()[:2] for line in said.splitlines()] == [
        ["moved", "one"], ["moved", "two"], ["moved", "three"],
    ]
    assert "downtime" in said
    assert {job["status"] for job in json.loads(b.do("jobs", "-o", "json"))} == {"paused"}
    assert {job["status"] for job in json.loads(a.do("jobs", "-o", "json"))} == {"moved"}


def test_a_paused_job_arrives_paused(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("failing:slow_backoff", "held")
    a.wait("held", "failing.retry_count >= 1")
    a.do("pause", "held")
    a.migrate("held", b)
    assert b.show("held")["status"] == "paused"
    b.do("resume", "held")
    assert b.wait("held", "failing.retry_count >= 2")["status"] == "running"


def test_a_target_that_stays_away_after_the_release_leaves_the_hand_off_in_doubt(
    make_host: MakeHost,
) -> None:
    a, b = make_host("a").up(), make_host("b").up(**dying_at("target.before-write-owned"))
    pair_hosts(a, b)
    warm_up(b, "failing:healing_late")
    a.submit("failing:healing_late", "job")
    a.wait("job", "failing.retry_count >= 1")
    done = a.run("migrate", "job", "--to", "b")
    assert done.returncode == 8, done.stderr
    b.died()
    assert "sojourn handoff resolve job" in done.stderr
    assert a.show("job")["status"] == "moving"
    a.kill()
    a.up()
    assert a.show("job")["status"] == "moving", "a released job must never run at its source"
    b.up()
    final = a.wait("job")
    assert (final["status"], final["host"], final["epoch"]) == ("completed", "b", 2)
    assert a.show("job")["status"] == "moved"


def test_a_target_that_is_down_aborts_before_anything_happens(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("failing:endless", "job")
    a.wait("job", "failing.retry_count >= 1")
    assert b.terminate() == 0
    done = a.run("migrate", "job", "--to", "b")
    assert done.returncode == 7
    assert "stays on host 'a'" in done.stderr
    assert a.show("job")["status"] == "running"


def test_different_code_on_the_target_is_refused_by_name(
    make_host: MakeHost, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in FLOWS.glob("*.py"):
        (other / file.name).write_text(file.read_text())
    (other / "effects.py").write_text((FLOWS / "effects.py").read_text() + "# another version\n")
    a, b = make_host("a").up(), make_host("b", paths=[other]).up()
    pair_hosts(a, b)
    a.submit("failing:long_backoff", "job")
    a.wait("job", "failing.retry_count >= 1")
    refused = a.run("migrate", "job", "--to", "b")
    assert refused.returncode == 7, refused.stderr
    assert "effects.py" in refused.stderr
    assert "--allow-code-drift" in refused.stderr
    assert a.show("job")["status"] == "running"
    a.do("pause", "job")  # so that the next attempt comes after the move, however long that takes
    a.do("migrate", "job", "--to", "b", "--allow-code-drift")
    b.do("resume", "job")
    final = b.wait("job", "failing.retry_count >= 2")
    assert len({entry["code"] for entry in final["history"] if entry["routine"] == "failing"}) == 2


def test_logs_are_followed_to_the_new_owner(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("points:talking_slowly", "job")
    reader = a.start("logs", "job", "-f", "-o", "json")
    a.wait("job", "talking.retry_count >= 1")
    a.do("pause", "job")
    a.migrate("job", b)
    b.do("resume", "job")
    said, complaint = reader.communicate(timeout=60)
    assert reader.returncode == 0, complaint
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["attempt"] for line in lines if line["text"].startswith("attempt")] == [1, 2]
    assert [line["seq"] for line in lines] == sorted({line["seq"] for line in lines})


def test_a_new_owner_that_is_down_is_said_to_be_and_ends_no_supervisor(
    pair: tuple[Host, Host]
) -> None:
    a, b = pair
    a.submit("failing:endless", "job")
    a.wait("job", "failing.retry_count >= 1")
    a.migrate("job", b)
    assert b.terminate() == 0
    for command in (("wait", "job"), ("pause", "job"), ("logs", "job", "-f")):
        done = a.run(*command)
        assert done.returncode == 5, done.stderr
        assert "host 'b' can't be reached" in done.stderr
    assert a.running
    assert a.show("job")["moved_to"] == "b"


def test_a_target_whose_disk_takes_no_blob_refuses_and_nothing_is_lost(
    pair: tuple[Host, Host]
) -> None:
    a, b = pair
    a.submit("values:keeping", "job")
    a.wait("job", "keeper.retry_count >= 1")
    a.do("pause", "job")
    blobs = b.home / "blobs"
    blobs.rmdir()
    blobs.write_text("in the way")
    done = a.run("migrate", "job", "--to", "b")
    assert done.returncode == 7, done.stderr
    assert "can't be written" in done.stderr
    assert not [entry for entry in a.log() if entry["event"] == "job freezes"]
    a.do("resume", "job")
    assert a.wait("job")["result"] == {"equal": True}
    assert b.running
    assert json.loads(b.do("jobs", "-o", "json")) == []


def test_a_source_that_died_before_the_commit_point_can_move_the_job_as_soon_as_it_is_back(
    make_host: MakeHost,
) -> None:
    """The target holds a piece of the first hand-off, and asks whether that still lives."""
    a, b = make_host("a").up(SOJOURN_CRASH_POINT="source.after-write-frozen"), make_host("b").up()
    pair_hosts(a, b)
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    first = a.run("migrate", "job", "--to", "b")
    assert first.returncode == 5, first.stderr
    a.died()
    a.up()
    wait_until(
        lambda: a.run("migrate", "job", "--to", "b").returncode == 0, 20.0, "the job to be taken"
    )


def test_a_target_that_died_prepared_starts_every_process_at_once_when_it_is_back(
    make_host: MakeHost,
) -> None:
    """Also those of routines that have nothing to do yet: STARTED, and so the downtime, wait for them."""
    a, b = make_host("a").up(), make_host("b").up(SOJOURN_CRASH_POINT="target.before-write-owned")
    pair_hosts(a, b)
    a.submit("failing:slow_backoff", "job")
    a.wait("job", "failing.retry_count >= 1")
    mover = a.start("migrate", "job", "--to", "b", "-o", "json")
    b.died()
    b.up()
    said, complaint = mover.communicate(timeout=60)
    assert mover.returncode == 0, complaint
    assert json.loads(said)[0]["downtime_ms"] is not None
