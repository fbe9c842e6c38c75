"""Commands of a job while it is being handed over, in each phase (point 15).

The target is stopped with SIGSTOP to hold a hand-off in PRECOPY; a long turn with its grace holds it in
FREEZING; a target that dies before its PREPARED, or before its ACK, holds it in FROZEN and RELEASED.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sojourn import Refused
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, attempts, pair_hosts, read_effects
from tests.waiting import wait_until


def log_has(host: Host, event: str) -> bool:
    return any(entry["event"] == event for entry in host.log())


def moving(host: Host) -> bool:
    return bool(host.show("job")["status"] == "moving")


@pytest.fixture
def stopped_target(pair: tuple[Host, Host]) -> Iterator[tuple[Host, Host]]:
    """A pair whose target is stopped before the hand-off begins: it stays in PRECOPY."""
    a, b = pair
    os.kill(b.pid, signal.SIGSTOP)
    yield a, b
    if b.running:
        os.kill(b.pid, signal.SIGCONT)


def begin(a: Host, *options: str) -> subprocess.Popen[str]:
    mover = a.start("migrate", "job", "--to", "b", *options)
    wait_until(lambda: log_has(a, "hand-off begins"), what="the hand-off to begin")
    return mover


def test_during_precopy_commands_apply_at_the_source(stopped_target: tuple[Host, Host]) -> None:
    a, b = stopped_target
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    mover = begin(a)
    assert a.show("job")["status"] == "paused"
    again = a.run("migrate", "job", "--to", "b")
    assert (again.returncode, "handed over already" in again.stderr) == (4, True)
    assert a.do("submit", "points:asking", "--job-id", "job") == "job"
    a.do("pause", "job")
    a.do("resume", "job", "--input", '{"approved": true}')
    os.kill(b.pid, signal.SIGCONT)
    _, complaint = mover.communicate(timeout=60)
    assert mover.returncode == 0, complaint
    held = b.show("job")
    assert (held["status"], held["waiting"], len(held["pending"])) == ("paused", [], 1)
    b.do("resume", "job")
    assert b.wait("job")["result"]["approved"] is True


def test_during_precopy_cancel_aborts_the_hand_off(stopped_target: tuple[Host, Host]) -> None:
    a, _ = stopped_target
    a.submit("failing:slow_backoff", "job")
    a.wait("job", "failing.retry_count >= 1")
    mover = begin(a)
    a.do("cancel", "job")
    mover.communicate(timeout=60)
    assert mover.returncode == 7
    assert a.show("job")["status"] == "cancelled"


def freezing(a: Host, effects: Path) -> subprocess.Popen[str]:
    """Begin to move a job in the middle of a turn that takes seconds."""
    a.submit("crashing:sleeper", "job", seconds=3.0)
    wait_until(lambda: read_effects(effects), what="the turn to begin")
    mover = begin(a, "--grace", "30")
    wait_until(lambda: moving(a), what="the job to freeze")
    return mover


def test_during_freezing_cancel_aborts_then_applies(pair: tuple[Host, Host], effects: Path) -> None:
    a, b = pair
    mover = freezing(a, effects)
    a.do("cancel", "job")
    mover.communicate(timeout=60)
    assert mover.returncode == 7
    assert a.show("job")["status"] == "cancelled"
    assert b.run("show", "job").returncode == 3


def test_during_freezing_other_commands_wait_and_then_reach_the_owner(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    a.submit("failing:long_turns", "job")
    wait_until(
        lambda: [e for e in read_effects(effects) if e.what == "failing"], what="the turn to begin"
    )
    mover = begin(a, "--grace", "30")
    wait_until(lambda: moving(a), what="the job to freeze")
    with a.client() as client, pytest.raises(Refused):
        client.migrate("job", "b")
    pause = a.start("pause", "job")
    _, complaint = mover.communicate(timeout=60)
    assert mover.returncode == 0, complaint
    said, wrong = pause.communicate(timeout=60)
    assert pause.returncode == 0, said + wrong
    assert b.show("job")["status"] == "paused"
    b.do("resume", "job")
    final = b.wait("job")
    assert final["status"] == "completed"
    assert attempts(final, "failing")[0] == (2, 1, "failed", "a")
    assert [o[1] for o in attempts(final, "failing")] == [1, 2, 3]


def test_during_frozen_commands_wait_until_the_hand_off_is_decided(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up(SOJOURN_CRASH_POINT="target.before-write-prepared")
    pair_hosts(a, b)
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    mover = begin(a)
    b.died()
    assert moving(a)
    answer = a.start("resume", "job", "--input", '{"approved": true}')
    b.up()
    mover.communicate(timeout=60)
    _, complaint = answer.communicate(timeout=60)
    assert answer.returncode == 0, complaint
    assert a.wait("job")["result"]["approved"] is True


def test_during_frozen_cancel_aborts_then_applies(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up(SOJOURN_CRASH_POINT="target.before-write-prepared")
    pair_hosts(a, b)
    a.submit("failing:slow_backoff", "job")
    a.wait("job", "failing.retry_count >= 1")
    mover = begin(a)
    b.died()
    a.do("cancel", "job")
    mover.communicate(timeout=60)
    assert mover.returncode == 7
    assert a.show("job")["status"] == "cancelled"


@pytest.mark.parametrize("verb", ["answer", "cancel", "pause", "submit"])
def test_after_the_release_commands_wait_for_the_ack_and_reach_the_new_owner(
    make_host: MakeHost, verb: str
) -> None:
    a, b = make_host("a").up(), make_host("b").up(SOJOURN_CRASH_POINT="target.before-write-owned")
    pair_hosts(a, b)
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    mover = begin(a)
    b.died()
    assert moving(a)
    arguments = {
        "answer": ("resume", "job", "--input", '{"approved": true}'),
        "cancel": ("cancel", "job"),
        "pause": ("pause", "job"),
        "submit": ("submit", "points:asking", "--job-id", "job"),
    }[verb]
    command = a.start(*arguments)
    again = a.run("migrate", "job", "--to", "b")
    assert again.returncode == 4
    b.up()
    mover.communicate(timeout=60)
    said, complaint = command.communicate(timeout=60)
    assert command.returncode == 0, said + complaint
    if verb == "answer":
        assert b.wait("job")["result"]["approved"] is True
    elif verb == "cancel":
        assert b.show("job")["status"] == "cancelled"
    elif verb == "pause":
        b.do("resume", "job")
    assert a.show("job")["status"] == "moved"
    assert b.show("job")["epoch"] == 2


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
