"""Commands of a job while it is being handed over, each in each phase.

The target stands still at a named moment and so holds a hand-off in PRECOPY, FROZEN or RELEASED; a turn
that ends when a gate opens holds it in FREEZING.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from sojourn import Handoff, HandoffAborted
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, attempts, check_effects, pair_hosts, read_effects
from tests.integration.moving import begin_move, go_on, stopping_at, wait_stopped
from tests.waiting import wait_until

FLOW = "crossroads:flow"
ANSWER = ("resume", "job", "--input", '{"approved": true}')
HELD_AT = {
    "PRECOPY": "target.before-send-ready",
    "FROZEN": "target.before-write-prepared",
    "RELEASED": "target.before-write-owned",
}
"""Phase of the source → where the target stands still meanwhile."""

MOVING = ("PRECOPY", "FREEZING", "FROZEN", "RELEASED")
PHASES = (*MOVING, "GONE")


class Crossing:
    """A hand-off of ``job`` from ``a`` to ``b`` that is held in one phase.

    Args:
        phase: the source's state.
        make_host: makes both.
        folder: for the gate.
        effects: where the routines leave their traces.
    """

    def __init__(self, phase: str, make_host: MakeHost, folder: Path, effects: Path) -> None:
        self.phase = phase
        self.a, self.b = make_host("a"), make_host("b")
        self.a.launch()
        self.b.launch(**(stopping_at(HELD_AT[phase]) if phase in HELD_AT else {}))
        pair_hosts(self.a.ready(), self.b.ready())
        self.effects = effects
        self._gate = folder / "gate"
        self.input = {"gate": str(self._gate)} if phase == "FREEZING" else {}
        self.a.submit(FLOW, "job", **self.input)
        self.a.wait("job", "waiting == 1")
        self.move = self._begin()

    def _begin(self) -> Future[Handoff]:
        a, b = self.a, self.b
        if self.phase == "FREEZING":
            wait_until(lambda: "busy" in self.done, what="the turn to be in flight")
            move = begin_move(a, "job", b, grace=60)
            wait_until(lambda: a.show("job")["status"] == "moving", what="the job to freeze")
            return move
        a.wait("job", "status == 'paused'")
        move = begin_move(a, "job", b)
        if self.phase == "GONE":
            assert move.result(60).target == "b"
        else:
            wait_stopped(b)
        shown = a.show("job")["status"]
        assert shown == {"PRECOPY": "paused", "GONE": "moved"}.get(self.phase, "moving")
        return move

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command at ``a``, and see that it waits there where it must."""
        started = self.a.start(*command)
        if self.phase in ("FREEZING", "FROZEN", "RELEASED"):
            wait_until(
                lambda: any(entry["event"] == "command held" for entry in self.a.log()),
                30.0, f"{command} to be held",
            )
            assert started.poll() is None, "it was acknowledged before the hand-off was decided"
        return started

    @property
    def done(self) -> list[str]:
        """What the routines did so far."""
        return [effect.what for effect in read_effects(self.effects)]

    def leave(self) -> None:
        """Let the hand-off go on."""
        if self.phase in HELD_AT:
            go_on(self.b)
        self._gate.touch()

    def arrive(self) -> None:
        """Let it go on, and see that the job moved."""
        self.leave()
        assert self.move.result(60).epoch == 2
        assert (self.a.show("job")["status"], self.b.show("job")["epoch"]) == ("moved", 2)

    def finish(self) -> None:
        """Answer the question at the new owner, and see that all was done there once."""
        self.b.do(*ANSWER)
        self.check(self.b.wait("job"))

    def check(self, final: dict[str, object]) -> None:
        """See that a job came to its end, and everything was done once."""
        assert (final["status"], final["result"]) == ("completed", {"approved": True})
        assert sorted(self.done) == ["answer", "busy", "done"]
        check_effects(read_effects(self.effects), final)


@pytest.fixture
def cross(make_host: MakeHost, tmp_path: Path, effects: Path) -> Callable[[str], Crossing]:
    """Begin a hand-off and hold it in a phase."""
    return lambda phase: Crossing(phase, make_host, tmp_path, effects)


@pytest.mark.parametrize("phase", ["PRECOPY", "FREEZING", "FROZEN"])
def test_cancel_before_the_release_aborts_the_hand_off_and_applies(
    cross: Callable[[str], Crossing], phase: str
) -> None:
    crossing = cross(phase)
    a, b = crossing.a, crossing.b
    cancel = a.start("cancel", "job")
    with pytest.raises(HandoffAborted, match="cancelled"):
        crossing.move.result(60)
    crossing.leave()
    said, complaint = cancel.communicate(timeout=60)
    assert (cancel.returncode, "cancelled" in said) == (0, True), complaint
    assert (a.show("job")["status"], a.show("job")["epoch"]) == ("cancelled", 1)
    assert b.run("show", "job").returncode == 3


@pytest.mark.parametrize("phase", ["RELEASED", "GONE"])
def test_cancel_after_the_release_reaches_the_new_owner(
    cross: Callable[[str], Crossing], phase: str
) -> None:
    crossing = cross(phase)
    cancel = crossing.start("cancel", "job")
    crossing.arrive()
    _, complaint = cancel.communicate(timeout=60)
    assert cancel.returncode == 0, complaint
    assert crossing.b.show("job")["status"] == "cancelled"


@pytest.mark.parametrize("phase", PHASES)
def test_pause_is_kept(cross: Callable[[str], Crossing], phase: str) -> None:
    crossing = cross(phase)
    a, b = crossing.a, crossing.b
    if phase == "PRECOPY":
        a.do("pause", "job")  # answered while the target stands still: it applies at the source
        crossing.arrive()
    else:
        pause = crossing.start("pause", "job")
        crossing.arrive()
        _, complaint = pause.communicate(timeout=60)
        assert pause.returncode == 0, complaint
    assert b.show("job")["status"] == "paused"
    b.do(*ANSWER)
    assert b.show("job")["status"] == "paused", "an answer leaves a pause in place"
    assert "answer" not in crossing.done
    b.do("resume", "job")
    crossing.check(b.wait("job"))


@pytest.mark.parametrize("phase", PHASES)
def test_an_answer_is_kept(cross: Callable[[str], Crossing], phase: str) -> None:
    crossing = cross(phase)
    if phase == "PRECOPY":
        crossing.a.do(*ANSWER)
        crossing.a.wait("job", "asking.succeeded >= 2")
        crossing.leave()
        assert isinstance(crossing.move.exception(60), HandoffAborted), "nothing is left to move"
        crossing.check(crossing.a.wait("job"))
        return
    answer = crossing.start(*ANSWER)
    crossing.arrive()
    _, complaint = answer.communicate(timeout=60)
    assert answer.returncode == 0, complaint
    crossing.check(crossing.b.wait("job"))


@pytest.mark.parametrize("phase", MOVING)
def test_a_second_migrate_is_refused(cross: Callable[[str], Crossing], phase: str) -> None:
    crossing = cross(phase)
    again = crossing.a.run("migrate", "job", "--to", "b")
    assert (again.returncode, "handed over already" in again.stderr) == (4, True), again.stderr
    looked = crossing.a.run("migrate", "job", "--to", "b", "--dry-run")
    assert (looked.returncode, "handed over already" in looked.stderr) == (4, True), looked.stderr
    released = crossing.a.run("export", "job", "file.json", "--release", "--to", "b")
    assert (released.returncode, "handed over already" in released.stderr) == (4, True), released.stderr
    crossing.arrive()
    crossing.finish()


def test_a_second_migrate_after_the_move_is_relayed(cross: Callable[[str], Crossing]) -> None:
    crossing = cross("GONE")
    a = crossing.a
    a.do("migrate", "job", "--to", "a")
    assert (a.show("job")["status"], a.show("job")["epoch"]) == ("paused", 3)
    a.do(*ANSWER)
    crossing.check(a.wait("job"))


@pytest.mark.parametrize("phase", PHASES)
def test_submit_with_the_same_job_id_is_the_same_job(
    cross: Callable[[str], Crossing], phase: str
) -> None:
    crossing = cross(phase)
    a, b = crossing.a, crossing.b
    same = a.run("submit", FLOW, "--job-id", "job", "--input", json.dumps(crossing.input))
    assert (same.returncode, same.stdout) == (0, "job\n"), same.stderr
    other = a.run("submit", FLOW, "--job-id", "job", "--input", '{"gate": "elsewhere"}')
    assert (other.returncode, "taken" in other.stderr) == (4, True), other.stderr
    crossing.arrive()
    assert [job["job_id"] for job in json.loads(b.do("jobs", "-o", "json"))] == ["job"]
    crossing.finish()


def test_a_target_that_is_about_to_own_a_job_refuses_its_id_to_others(
    make_host: MakeHost, tmp_path: Path
) -> None:
    a, b, c = make_host("a"), make_host("b"), make_host("c")
    a.launch(**stopping_at("source.before-write-released"))
    b.launch()
    c.launch()
    pair_hosts(a.ready(), b.ready())
    pair_hosts(b, c.ready())
    for host in (a, c):
        host.submit(FLOW, "job")
        host.wait("job", "status == 'paused'")
    file = tmp_path / "job.json"
    a.do("export", "job", str(file))
    c.do("export", "job", str(tmp_path / "released.json"), "--release", "--to", "b")
    move = begin_move(a, "job", b)
    wait_stopped(a)
    refused = b.run("submit", FLOW, "--job-id", "job")
    assert (refused.returncode, "is being handed over" in refused.stderr) == (4, True), refused.stderr
    taken = b.run("import", str(tmp_path / "released.json"))
    assert (taken.returncode, "is being handed over" in taken.stderr) == (4, True), taken.stderr
    assert b.do("import", str(file)) != "job", "without a release it is a new job"
    go_on(a)
    assert move.result(60).epoch == 2
    assert [job["status"] for job in json.loads(b.do("jobs", "-o", "json"))] == ["paused"] * 2


def test_what_was_acknowledged_before_the_source_died_is_kept(make_host: MakeHost, effects: Path) -> None:
    a, b = make_host("a").up(), make_host("b").up(**stopping_at(HELD_AT["PRECOPY"]))
    pair_hosts(a, b)
    a.submit(FLOW, "job")
    a.wait("job", "status == 'paused'")
    move = begin_move(a, "job", b)
    wait_stopped(b)
    a.do("pause", "job")
    a.do(*ANSWER)
    a.kill()
    go_on(b)
    a.up()
    move.exception(60)
    owner = b if a.show("job")["status"] == "moved" else a
    # a host that comes up asks the other one first whether it has the job
    wait_until(lambda: owner.show("job")["status"] != "blocked", what="the host to be certain")
    assert owner.show("job")["status"] == "paused"
    owner.do("resume", "job")
    assert owner.wait("job")["result"] == {"approved": True}
    check_effects(read_effects(effects), owner.show("job"))


def begin_a_turn(host: Host, folder: Path, effects: Path) -> Path:
    """Submit the job and wait until its turn is in flight; give the gate at which that ends."""
    gate = folder / "gate"
    host.submit(FLOW, "job", gate=str(gate))
    wait_until(lambda: "busy" in [e.what for e in read_effects(effects)], what="the turn")
    return gate


def on_disk(host: Host, beside: Path) -> dict[str, bool]:
    """Give what an export of the job says beyond its document."""
    file = beside.with_name("export.json")
    with host.client() as client:
        client.export("job", file)
    engine: dict[str, bool] = json.loads(file.read_text())["job"]["engine"]
    return engine


def test_a_pause_that_waits_for_a_turn_is_answered_though_the_job_moves(
    pair: tuple[Host, Host], tmp_path: Path, effects: Path
) -> None:
    a, b = pair
    gate = begin_a_turn(a, tmp_path, effects)
    pause = a.start("pause", "job")
    wait_until(lambda: on_disk(a, gate)["held"], what="the pause to be on disk")
    move = begin_move(a, "job", b, grace=60)
    wait_until(lambda: a.show("job")["status"] == "moving", what="the job to freeze")
    gate.touch()
    assert move.result(60).target == "b"
    _, complaint = pause.communicate(timeout=60)
    assert pause.returncode == 0, complaint
    assert b.show("job")["status"] == "paused"
    b.do("resume", "job")
    b.do(*ANSWER)
    assert attempts(b.wait("job"), "busy") == [(3, 1, "succeeded", "a")]


def test_a_job_that_is_being_cancelled_is_not_moved(
    pair: tuple[Host, Host], tmp_path: Path, effects: Path
) -> None:
    a, b = pair
    gate = begin_a_turn(a, tmp_path, effects)
    cancel = a.start("cancel", "job")
    wait_until(lambda: on_disk(a, gate)["cancelling"], what="the cancel to be on disk")
    moved = a.run("migrate", "job", "--to", "b")
    assert (moved.returncode, "being cancelled" in moved.stderr) == (4, True), moved.stderr
    gate.touch()
    _, complaint = cancel.communicate(timeout=60)
    assert cancel.returncode == 0, complaint
    assert a.show("job")["status"] == "cancelled"
    assert b.run("show", "job").returncode == 3


def test_after_the_move_acting_commands_are_relayed_by_tombstones(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    a.migrate("job", b)
    assert a.do("submit", "points:asking", "--job-id", "job") == "job"
    a.do("pause", "job")
    a.do("resume", "job")
    b.migrate("job", a)
    b.do("resume", "job", "--input", '{"approved": true}')
    final = b.wait("job")
    assert (final["host"], final["epoch"], final["result"]["approved"]) == ("a", 3, True)
