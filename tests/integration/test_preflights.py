"""What is asked before a move: told by ``--dry-run``, all at once, always before anything stands still."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sojourn import HandoffAborted, Refused
from tests.integration.conftest import MakeHost
from tests.integration.hosting import FLOWS, Host, pair_hosts, read_effects, seconds_of
from tests.waiting import wait_until

TICKS = 100_000
MEGABYTE = 1024 * 1024
DRY = ("migrate", "job", "--to", "b", "--dry-run")


def start(host: Host, *, megabytes: int = 0) -> None:
    """Start a job that ticks on, with some large values."""
    host.submit("ticking:flow", "job", left=TICKS, megabytes=megabytes)
    host.wait("job", "ticker.succeeded >= 2")


def look(host: Host, *options: str) -> dict[str, Any]:
    """Give the document of a dry run that finds nothing against the move."""
    (found,) = json.loads(host.do(*DRY, "-o", "json", *options))
    assert found["would_move"] is True
    return dict(found)


def check_never_frozen(host: Host) -> None:
    """See that the job wasn't frozen at any time, and works on."""
    assert not [entry for entry in host.log() if entry["event"] == "job freezes"]
    document = host.show("job")
    assert (document["host"], document["epoch"], document["handoffs"]) == (host.name, 1, [])
    done = document["routines"]["ticker"]["succeeded"]
    host.wait("job", f"ticker.succeeded >= {done + 2}")


def other_flows(folder: Path, **changed: str) -> Path:
    """Copy the flows, some files with other content."""
    other = folder / "other"
    shutil.copytree(FLOWS, other, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in changed.items():
        (other / f"{name}.py").write_text(text)
    return other


# --- what is told -------------------------------------------------------------------------------------


def test_a_dry_run_tells_what_a_move_would_cost_and_moves_nothing(pair: tuple[Host, Host]) -> None:
    a, b = pair
    start(a, megabytes=3)
    found = look(a)
    assert (found["job_id"], found["from"], found["to"], found["reasons"]) == ("job", "a", "b", [])
    assert found["pairing"]["connected"] is True
    assert found["versions"]["protocol"] == {"here": [1, 1], "there": [1, 1], "used": 1}
    assert found["versions"]["copy_format"] == {"here": 1, "there": [1, 1]}
    code = found["code"]
    assert (code["compared"], code["files"], code["here"]) == (True, [], code["there"])
    (routine,) = code["routines"]
    assert (routine["routine"], routine["differing"]) == ("ticker", [])
    assert routine["here"] == routine["there"] != code["here"] or routine["here"].startswith("sha256:")
    size = found["bytes"]
    assert 3 * MEGABYTE <= size["blobs"] < 3.1 * MEGABYTE
    assert (len(size["missing"]), size["held"], size["blobs_there"]) == (3, [], 0)
    assert size["to_send"] == size["rows"] + size["blobs"]
    assert found["disk"]["needed_bytes"] == size["blobs"] + 2 * size["rows"]
    assert found["disk"]["free_bytes"] == pytest.approx(shutil.disk_usage(b.home).free, rel=0.1)
    assert abs(found["clock"]["difference_ms"]) <= found["clock"]["error_ms"] + 1.0, "it is the same clock"
    downtime = found["downtime"]
    assert downtime["estimated_ms"] == pytest.approx(
        2 * downtime["round_trip_ms"] + 2 * downtime["fsync_here_ms"] + 3 * downtime["fsync_there_ms"]
        + downtime["delta_bytes"] / 100e6 * 1000, abs=0.01,
    )
    assert min(downtime[name] for name in ("round_trip_ms", "fsync_here_ms", "fsync_there_ms")) > 0
    assert downtime["changing_bytes_per_s"] > 1000, "it ticks"
    assert "round trips" in downtime["how"]

    text = a.do(*DRY)
    assert text.startswith("job job would move from a to b (nothing was moved)")
    for told in ("CHECK", "versions", "disk there", "clock there", "to send", "downtime", "ACTOR", "GRACE"):
        assert told in text
    check_never_frozen(a)
    assert json.loads(b.do("jobs", "-o", "json")) == []
    assert json.loads(a.do("handoff", "show", "job", "-o", "json")) == []
    assert not [entry for entry in a.log() if entry["event"] == "hand-off begins"]

    a.migrate("job", b)
    back = json.loads(b.do("migrate", "job", "--to", "a", "--dry-run", "-o", "json"))[0]["bytes"]
    assert (len(back["held"]), back["missing"]) == (3, [])
    assert back["to_send"] == back["rows"] < MEGABYTE
    asked_at_the_old_host = json.loads(a.do("migrate", "job", "--to", "a", "--dry-run", "-o", "json"))
    assert (asked_at_the_old_host[0]["from"], asked_at_the_old_host[0]["to"]) == ("b", "a")


def test_a_dry_run_tells_how_long_each_actor_would_be_waited_for(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, _ = pair
    a.submit("points:stepper", "job", n=TICKS, seconds=0.2)
    a.wait("job", "sink.succeeded >= 2")
    with a.client() as client:
        wait_until(
            lambda: at_work(client.preflight("job", "b"))["checkpoint_every_ms"] is not None,
            what="two checkpoints to be seen",
        )
        found = client.preflight("job", "b")
        stepper = at_work(found)
        assert (stepper["in_flight"], stepper["attempt"]) == (True, 1)
        assert seconds_of(stepper["since"]) < seconds_of(a.show("job")["history"][-1]["ended_at"])
        assert stepper["running_ms"] > 400
        assert 0 <= stepper["last_checkpoint_ms_ago"] < 5000
        assert 200 <= stepper["checkpoint_every_ms"] < 5000
        assert stepper["grace_ms"] == 10_000
        assert 0 <= stepper["wait_ms"] <= stepper["checkpoint_every_ms"]
        assert found["wait_ms"] == stepper["wait_ms"]
        idle = next(actor for actor in found["actors"] if not actor["in_flight"])
        assert (idle["wait_ms"], idle["message"], idle["since"]) == (0, None, None)
        assert idle["typical_turn_ms"] is not None, "its turns are in the history"
        at_once = client.preflight("job", "b", grace=0.0)
        assert (at_work(at_once)["grace_ms"], at_once["wait_ms"]) == (0, 0)
    assert read_effects(effects)[0].what == "stepper"


def at_work(found: dict[str, Any]) -> dict[str, Any]:
    """Give what is told of the actor whose turns are long."""
    return next(actor for actor in found["actors"] if actor["routine"] == "source")


# --- what is refused ----------------------------------------------------------------------------------


def test_every_reason_is_told_at_once_by_the_dry_run_and_by_the_move(
    make_host: MakeHost, tmp_path: Path
) -> None:
    changed = (FLOWS / "effects.py").read_text() + "# another version\n"
    a = make_host("a").up()
    b = make_host("b", paths=[other_flows(tmp_path, effects=changed)]).up()
    pair_hosts(a, b)
    start(a)
    b.submit("points:asking", "job")
    (b.home / "blobs").rmdir()
    (b.home / "blobs").write_text("in the way")
    dry = a.run(*DRY, "-o", "json")
    (found,) = json.loads(dry.stdout)
    assert (dry.returncode, found["would_move"]) == (7, False)
    assert [reason["type"] for reason in found["reasons"]] == ["Refused", "CodeNotLoadable", "HostUnable"]
    assert found["code"]["files"] == ["effects.py"]
    says = ["another job under the id job", "differs in effects.py", "can't be written"]
    for reason, sentence in zip(found["reasons"], says, strict=True):
        assert sentence in reason["message"]
    move = a.run("migrate", "job", "--to", "b")
    assert move.returncode == 7
    for done in (move, a.run(*DRY)):
        assert all(sentence in done.stderr for sentence in says), done.stderr
        assert "job job stays on host 'a'" in done.stderr
    assert "would NOT move" in a.run(*DRY).stdout
    check_never_frozen(a)


def test_only_refusals_of_a_state_are_4(pair: tuple[Host, Host]) -> None:
    a, b = pair
    start(a)
    b.submit("points:asking", "job")
    assert a.run(*DRY).returncode == a.run("migrate", "job", "--to", "b").returncode == 4
    with a.client() as client, pytest.raises(Refused, match="another job under the id"):
        client.migrate("job", "b")
    assert a.run("migrate", "job", "--to", "c", "--dry-run").returncode == 3
    assert a.run("migrate", "job", "--to", "a", "--dry-run").returncode == 2
    check_never_frozen(a)


CAUSES: dict[str, tuple[Callable[[Path], Path], int, str]] = {
    "the code differs": (
        lambda folder: other_flows(folder, effects=(FLOWS / "effects.py").read_text() + "\n"),
        7, "differs in effects.py",
    ),
    "a module is missing": (
        lambda folder: folder / "empty", 7, "no module 'ticking'",
    ),
    "the import fails": (
        lambda folder: other_flows(folder, ticking="raise RuntimeError('not here')"), 7, "not here",
    ),
    "the class is gone": (lambda folder: other_flows(folder, ticking=""), 7, "Ticker"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_code_that_does_not_fit_is_refused_before_the_freeze(
    make_host: MakeHost, tmp_path: Path, cause: str
) -> None:
    make, code, says = CAUSES[cause]
    folder = make(tmp_path)
    folder.mkdir(exist_ok=True)
    a, b = make_host("a").up(), make_host("b", paths=[folder]).up()
    pair_hosts(a, b)
    start(a)
    for command in (DRY, DRY[:-1]):
        done = a.run(*command)
        assert done.returncode == code, done.stderr
        assert says in done.stderr
    check_never_frozen(a)
    assert json.loads(b.do("jobs", "-o", "json")) == []


def test_a_target_that_goes_down_refuses_before_the_freeze(pair: tuple[Host, Host], effects: Path) -> None:
    a, b = pair
    b.submit("crashing:sleeper", "long", seconds=300.0)
    wait_until(lambda: read_effects(effects), what="a turn to hold the stop up")
    start(a)
    os.kill(b.pid, signal.SIGTERM)
    wait_until(lambda: any(entry["event"] == "stopping" for entry in b.log()), what="b to begin to stop")
    done = a.run("migrate", "job", "--to", "b")
    assert done.returncode == 4, done.stderr
    assert "host 'b' is going down" in done.stderr
    check_never_frozen(a)


def test_a_target_whose_processes_do_not_start_refuses_before_the_freeze(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    pair_hosts(a, b)
    start(a)
    (b.home / "pages").rmdir()
    (b.home / "pages").write_text("in the way")
    done = a.run("migrate", "job", "--to", "b", timeout=90.0)
    assert done.returncode == 7, done.stderr
    assert "don't start on host 'b'" in done.stderr
    check_never_frozen(a)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of 16 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_too_small_refuses_before_the_freeze_and_ends_no_supervisor(
    make_host: MakeHost, small_disk: Path, tmp_path: Path, effects: Path
) -> None:
    a, b = make_host("a").up(), Host(small_disk, "b", effects)
    try:
        b.up()
        pair_hosts(a, b)
        b.submit("points:asking", "other")
        a.submit("large:crowd", "job", n=40_000)
        a.wait("job", "crowd.succeeded >= 1")
        a.do("pause", "job")
        for command in (DRY, DRY[:-1]):
            done = a.run(*command)
            assert done.returncode == 7, done.stderr
            assert "no room for job job" in done.stderr
        assert not [entry for entry in a.log() if entry["event"] == "job freezes"]
        subprocess.run(["mount", "-o", "remount,size=72m", str(small_disk)], check=True)
        a.migrate("job", b)
        assert b.show("job")["pending_total"] > 30_000
        assert b.show("other")["status"] == "paused"
    finally:
        b.close()


def test_a_blob_that_the_source_has_lost_is_found_before_the_freeze(pair: tuple[Host, Host]) -> None:
    a, _ = pair
    start(a, megabytes=2)
    next((a.home / "blobs").iterdir()).unlink()
    done = a.run("migrate", "job", "--to", "b")
    assert done.returncode == 7, done.stderr
    assert "from a host that the job was on, then move it again" in done.stderr
    assert not [entry for entry in a.log() if entry["event"] == "job freezes"]


def test_a_target_that_cannot_be_reached_is_told_with_all_else_that_is_known(
    pair: tuple[Host, Host]
) -> None:
    a, b = pair
    start(a)
    b.kill()
    wait_until(lambda: a.run("migrate", "job", "--to", "b").returncode == 7, what="a to see that b is gone")
    dry = a.run(*DRY, "-o", "json")
    (found,) = json.loads(dry.stdout)
    assert (dry.returncode, found["would_move"], found["pairing"]["connected"]) == (7, False, False)
    assert "host 'b' can't be reached" in found["reasons"][0]["message"]
    assert (found["disk"], found["clock"], found["downtime"]) == (None, None, None)
    assert found["actors"][0]["routine"] == "ticker"
    check_never_frozen(a)


def test_a_released_export_that_cannot_be_written_freezes_nothing(pair: tuple[Host, Host]) -> None:
    a, _ = pair
    start(a)
    done = a.run("export", "job", "/nothing/here.json", "--release", "--to", "b")
    assert done.returncode == 6, done.stderr
    check_never_frozen(a)


# --- code ---------------------------------------------------------------------------------------------

PIECES = {
    "whole": """
        from sojourn import Flow
        from one import One
        from two import Two

        flow = Flow("whole")
        one = flow.add_routine(One(), "one")
        flow.add_routine(Two(), "two")
        flow.connect("one", "output", "two", "input")
    """,
    "one": """
        from sojourn import Routine, slot
        import shared_helper

        class One(Routine):
            def process(self):
                self.ask("go on?", slot="answer")

            @slot
            def answer(self, ok: bool = True):
                self.emit("output")
    """,
    "two": """
        from sojourn import Routine
        from pack import helper

        class Two(Routine):
            def process(self):
                self.set_result(value=helper.VALUE)
    """,
    "shared_helper": "VALUE = 1",
    "pack/helper": "VALUE = 2",
}


def write_pieces(folder: Path, **changed: str) -> Path:
    """Write a flow whose routines need different files."""
    for name, text in {**PIECES, **changed}.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def test_the_files_that_differ_are_named_for_each_routine(make_host: MakeHost, tmp_path: Path) -> None:
    here = write_pieces(tmp_path / "here")
    there = write_pieces(tmp_path / "there", **{"pack/helper": "VALUE = 3", "pack/__init__": ""})
    a, b = make_host("a", paths=[here]).up(), make_host("b", paths=[there]).up()
    pair_hosts(a, b)
    a.submit("whole:flow", "job")
    a.wait("job", "status == 'paused'")
    dry = a.run(*DRY, "-o", "json")
    (found,) = json.loads(dry.stdout)
    assert dry.returncode == 7
    assert found["code"]["files"] == ["pack/__init__.py", "pack/helper.py"]
    one, two = found["code"]["routines"]
    assert (one["routine"], one["differing"], one["here"]) == ("one", [], one["there"])
    assert (two["routine"], two["differing"]) == ("two", ["pack/__init__.py", "pack/helper.py"])
    assert two["here"] != two["there"]
    assert "differs in pack/__init__.py, pack/helper.py" in dry.stderr
    assert "--allow-code-drift" in dry.stderr

    allowed = a.run(*DRY, "-o", "json", "--allow-code-drift")
    (found,) = json.loads(allowed.stdout)
    assert (allowed.returncode, found["would_move"], found["code"]["drift_allowed"]) == (0, True, True)
    assert found["code"]["files"] == ["pack/__init__.py", "pack/helper.py"]
    with a.client() as client:
        with pytest.raises(HandoffAborted, match=r"pack/helper\.py"):
            client.migrate("job", "b")
        client.migrate("job", "b", allow_code_drift=True)
    b.do("resume", "job", "--input", '{"ok": true}')
    assert b.wait("job")["result"] == {"value": 3}


def test_drift_is_allowed_by_the_environment_too(
    make_host: MakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = make_host("a", paths=[write_pieces(tmp_path / "here")]).up()
    b = make_host("b", paths=[write_pieces(tmp_path / "there", shared_helper="VALUE = 9")]).up()
    pair_hosts(a, b)
    a.submit("whole:flow", "job")
    a.wait("job", "status == 'paused'")
    refused = a.run("migrate", "job", "--to", "b")
    assert (refused.returncode, "shared_helper.py" in refused.stderr) == (7, True)
    twin = {**a.environment, "SOJOURN_MIGRATE_ALLOW_CODE_DRIFT": "1"}
    monkeypatch.setattr(Host, "environment", property(lambda _self: twin))
    a.do("migrate", "job", "--to", "b")
    assert b.show("job")["status"] == "paused"
