"""What a failed attempt leaves, what a checkpoint keeps, questions."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, attempts, check_effects, read_effects
from tests.waiting import wait_until


def test_a_failed_attempt_leaves_nothing_but_its_record(host: Host) -> None:
    host.submit("points:messy", "job")
    final = host.wait("job")
    assert final["result"] == {
        "kept": ["begin"], "extra": False, "dirty": False, "count": 0, "progress": {"attempts": 1}
    }
    assert (final["shared"], final["waiting"]) == ({}, [])
    assert final["routines"]["messy"]["state"] == {"kept": ["begin"]}
    assert final["routines"]["sink"]["succeeded"] == 0
    assert attempts(final, "messy") == [(1, 1, "failed", "a"), (1, 2, "succeeded", "a")]


@pytest.mark.parametrize(
    ("way", "progress"), [("fail", {"kept": True, "dirty": True}), ("crash", {"kept": True})]
)
def test_a_failed_attempt_goes_back_to_its_checkpoint(
    host: Host, way: str, progress: dict[str, bool]
) -> None:
    host.submit("points:messy_later", "job", way=way)
    final = host.wait("job")
    # Progress survives a failure; what a process that was killed hadn't committed of it can't.
    assert final["result"] == {"kept": ["begin", "kept"], "progress": progress}
    assert final["shared"] == {"kept": True, "count": 1}
    assert final["routines"]["sink"]["state"] == {"got": [1]}
    assert attempts(final, "messy") == [(1, 1, "failed", "a"), (1, 2, "succeeded", "a")]


def test_keep_state_on_failure_keeps_attributes_of_failed_attempts(host: Host) -> None:
    host.submit("points:keeping", "job")
    assert host.wait("job")["result"] == {"tries": 3}


@pytest.mark.parametrize("way", ["fail", "crash"])
def test_a_checkpoint_is_neither_lost_nor_recorded_again(
    host: Host, tmp_path: Path, way: str, effects: Path
) -> None:
    host.submit("points:batches", "job", n=20, way=way, marker=str(tmp_path / "marker"))
    final = host.wait("job")
    assert final["status"] == "completed"
    assert final["result"]["got"] == list(range(20))
    assert [o[1:3] for o in attempts(final, "source")] == [(1, "failed"), (2, "succeeded")]
    check_effects(read_effects(effects), final)


def test_a_checkpoint_survives_the_supervisor(host: Host, tmp_path: Path, effects: Path) -> None:
    host.submit("points:stepper", "job", n=30)
    host.wait("job", "sink.succeeded >= 5")
    host.kill()
    host.up()
    final = host.wait("job")
    assert final["result"]["got"] == list(range(30))
    assert [o[1:3] for o in attempts(final, "source")] == [(1, "interrupted"), (1, "succeeded")]
    check_effects(read_effects(effects), final)


def test_a_long_turn_goes_on_elsewhere_from_its_checkpoint(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    a.submit("points:stepper", "job", n=40)
    a.wait("job", "sink.succeeded >= 5")
    a.migrate("job", b)
    final = b.wait("job")
    assert final["result"]["got"] == list(range(40))
    assert [o[1:] for o in attempts(final, "source")] == [
        (1, "interrupted", "a"), (1, "succeeded", "b")
    ]
    check_effects(read_effects(effects), final)


def test_a_question_pauses_the_job_until_it_is_answered(host: Host) -> None:
    host.submit("points:asking", "job")
    asked = host.wait("job", "status == 'paused'")
    assert "go on?" in asked["reason"]
    (question,) = asked["waiting"]
    assert (question["routine"], question["slot"], question["due_in"]) == ("asking", "answer", None)
    lifting = host.run("resume", "job")
    assert lifting.returncode == 4
    assert "nobody paused job job on host 'a', it waits for an answer" in lifting.stderr
    assert host.run("resume", "job", "--input", '{"wrong": 1}').returncode == 2
    host.do("resume", "job", "--input", '{"approved": true}')
    assert host.wait("job")["result"] == {"approved": True, "timed_out": False}
    assert host.run("resume", "job", "--input", '{"approved": true}').returncode == 4


def test_a_question_times_out_once(host: Host) -> None:
    host.submit("points:asking", "job", timeout=0.3)
    final = host.wait("job")
    assert final["result"] == {"approved": False, "timed_out": True}
    assert [e["slot"] for e in final["history"]] == ["input", "answer"]


def test_a_question_moves_and_is_answered_over_there(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    a.migrate("job", b)
    moved = b.show("job")
    assert (moved["status"], len(moved["waiting"])) == ("paused", 1)
    a.do("resume", "job", "--input", '{"approved": true}')
    final = a.wait("job")
    assert (final["host"], final["result"]["approved"]) == ("b", True)


def test_what_a_routine_prints_and_logs_is_kept_with_its_turn(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("points:talking", "job")
    assert a.wait("job")["status"] == "completed"

    def lines() -> list[tuple[int, str, str]]:
        said = [json.loads(line) for line in a.do("logs", "job", "-o", "json").splitlines()]
        return [(line["attempt"], line["stream"], line["text"]) for line in said]

    wait_until(lambda: len(lines()) == 6, 30.0, "every line")
    for attempt in (1, 2):
        kept = [(stream, text) for number, stream, text in lines() if number == attempt]
        assert ("stdout", f"attempt {attempt}") in kept
        assert ("stdout", "from a child") in kept
        assert any(stream == "log" and "logged" in text and "talking" in text for stream, text in kept)
    assert b.run("logs", "job").returncode == 3
    assert "attempt 1" in a.do("logs", "job")


def test_finished_jobs_are_forgotten_after_their_retention_and_their_blobs_swept(
    make_host: MakeHost,
) -> None:
    host = make_host("a").up()
    host.submit("values:keeping", "old")
    host.submit("points:asking", "open")
    host.wait("old")
    blobs = list((host.home / "blobs").iterdir())
    assert blobs
    assert host.terminate() == 0
    for blob in blobs:
        os.utime(blob, (0, 0))
    host.up("--retain", "0s")
    wait_until(lambda: host.run("show", "old").returncode == 3, what="the old job to be forgotten")
    assert host.show("open")["status"] == "paused"
    assert host.run("submit", "values:keeping", "--job-id", "old").returncode == 4
    host.terminate()
    for blob in (host.home / "blobs").iterdir():
        os.utime(blob, (0, 0))
    host.up()
    wait_until(lambda: not list((host.home / "blobs").iterdir()), what="the blobs to be swept")


def age_blobs(host: Host) -> Path:
    """Make every blob of a host that is down old enough to be swept; give one that no job refers to."""
    stray = host.home / "blobs" / ("0" * 64)
    stray.write_bytes(b"")
    for blob in stray.parent.iterdir():
        os.utime(blob, (0, 0))
    return stray


def test_a_blob_is_kept_while_another_job_refers_to_it(host: Host) -> None:
    for job in ("one", "two"):
        host.submit("values:keeping", job)
    for job in ("one", "two"):
        host.wait(job)
    shared = set((host.home / "blobs").iterdir())
    assert shared
    host.do("forget", "one")
    host.terminate()
    stray = age_blobs(host)
    host.up()
    wait_until(lambda: not stray.exists(), what="the sweep")
    assert set(stray.parent.iterdir()) == shared


def test_a_failed_job_is_forgotten_when_its_other_turns_have_ended(
    host: Host, effects: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    host.submit("stuck:stopping", "job", marker=str(marker))
    host.wait("job", "status == 'failed'")
    wait_until(lambda: len(read_effects(effects)) == 2, what="both turns to begin")
    with pytest.raises(subprocess.TimeoutExpired):
        host.run("forget", "job", timeout=2)  # it is done though nobody waits for the answer
    assert host.show("job")["status"] == "failed"
    marker.touch()
    wait_until(lambda: host.run("show", "job").returncode == 3, what="the job to be forgotten")
    host.submit("stuck:stopping", "next", marker=str(marker))
    host.wait("next", "stopping.succeeded >= 1")


def test_a_turn_in_flight_when_its_job_failed_and_the_supervisor_died_is_interrupted(
    host: Host, effects: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    host.submit("stuck:stopping", "job", marker=str(marker))
    host.wait("job", "status == 'failed'")
    wait_until(lambda: len(read_effects(effects)) == 2, what="both turns to begin")
    host.kill()
    host.up()
    assert host.show("job")["status"] == "failed"
    marker.touch()
    host.do("retry", "job")
    final = host.wait("job", "stopping.succeeded >= 1")
    assert (2, 1, "interrupted", "a") in attempts(final, "stopping")
    check_effects(read_effects(effects), host.show("job"))


def test_more_than_a_commit_point_can_hold_is_an_error_that_names_checkpoint(host: Host) -> None:
    host.submit("large:bulk", "whole", pieces=1200, size=60_000, halfway=False)
    refused = host.wait("whole")
    assert (refused["status"], refused["error"]["type"]) == ("failed", "ValueNotEncodable")
    assert "self.checkpoint()" in refused["error"]["message"]
    host.submit("large:bulk", "halves", pieces=1200, size=60_000, halfway=True)
    assert host.wait("halves")["result"] == {"seen": sum(range(1200))}
