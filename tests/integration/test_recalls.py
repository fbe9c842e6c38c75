"""Freezes, cancels and stops while a process can't answer: its turn keeps the interpreter's lock."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, attempts, check_effects, pair_hosts, read_effects
from tests.waiting import wait_until


def begin(host: Host, effects: Path) -> None:
    host.submit("stuck:holding", "job", seconds=120, host="a")
    wait_until(lambda: read_effects(effects), what="the turn to begin")


def test_a_turn_that_lets_no_thread_run_is_interrupted_after_the_grace(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    begin(a, effects)
    asked = time.monotonic()
    a.do("migrate", "job", "--to", "b", "--grace", "0.5", timeout=30)
    assert time.monotonic() - asked < 10
    final = b.wait("job")
    assert attempts(final, "holding") == [(1, 1, "interrupted", "a"), (1, 1, "succeeded", "b")]
    check_effects(read_effects(effects), final)


def test_sigterm_ends_a_turn_that_lets_no_thread_run(make_host: MakeHost, effects: Path) -> None:
    host = make_host("a").up("--grace", "0.5")
    begin(host, effects)
    assert host.terminate(timeout=15) == 0


def test_cancel_ends_a_turn_that_lets_no_thread_run(make_host: MakeHost, effects: Path) -> None:
    host = make_host("a").up("--grace", "0.5")
    begin(host, effects)
    host.do("cancel", "job", timeout=15)
    assert host.show("job")["status"] == "cancelled"


def test_a_process_that_is_stopped_between_turns_does_not_hold_a_freeze_up(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    a.submit("points:asking", "first")
    a.wait("first", "status == 'paused'")
    (begun,) = read_effects(effects)
    os.kill(begun.pid, signal.SIGSTOP)
    a.submit("points:asking", "job")
    a.do("migrate", "job", "--to", "b", "--grace", "0.5", timeout=30)
    assert b.wait("job", "status == 'paused'")["epoch"] == 2


def test_a_job_that_waits_in_a_process_leaves_anothers_turn_there_alone(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    a.submit("stuck:holding", "other", seconds=4, host="a")
    wait_until(lambda: read_effects(effects), what="the turn to begin")
    a.submit("stuck:holding", "job", seconds=0, host="b")
    a.do("migrate", "job", "--to", "b", "--grace", "0.5", timeout=30)
    assert b.wait("job")["status"] == "completed"
    assert attempts(a.wait("other"), "holding") == [(1, 1, "succeeded", "a")]


def test_a_hand_off_that_is_called_off_leaves_no_turn_in_a_hurry(
    make_host: MakeHost, effects: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up(SOJOURN_CRASH_POINT="target.before-write-prepared")
    pair_hosts(a, b)
    a.submit("stuck:hurrying", "job", turns=2, seconds=5.0)
    wait_until(lambda: read_effects(effects), what="the turn to begin")
    mover = a.start("migrate", "job", "--to", "b")
    b.died()
    b.up()
    mover.communicate(timeout=60)
    assert mover.returncode == 7
    assert a.wait("job")["result"] == {"hurried": [True, False]}
