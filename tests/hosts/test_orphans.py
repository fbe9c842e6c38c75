"""One supervisor per home, and nothing left of an earlier one: with real processes and locks."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from sojourn.hosts.home import Home
from sojourn.hosts.orphans import claim_home, supervisor_pid
from sojourn.runtime.errors import AlreadyRunning, HostUnable
from tests.hosts.tiny_supervisor import FLOWS, ROOT, is_gone
from tests.waiting import wait_until


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


Hold = Callable[[str], list[int]]


@pytest.fixture
def hold(tmp_path: Path, home: Home) -> Generator[Hold]:
    """Starts a process that holds a lock of the home; gives its pid and those of its programs."""
    started: list[subprocess.Popen[bytes]] = []

    def start(which: str) -> list[int]:
        ready = tmp_path / f"ready-{len(started)}"
        command = [sys.executable, "-m", "tests.hosts.lock_holder", str(home.root), str(ready), which]
        started.append(subprocess.Popen(command, cwd=ROOT, start_new_session=True))
        wait_until(ready.exists)
        return [int(pid) for pid in ready.read_text().split()]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_second_supervisor_is_refused_with_the_pid_of_the_first(home: Home, hold: Hold) -> None:
    (first,) = hold("supervisor")
    with pytest.raises(AlreadyRunning) as refused:
        claim_home(home)
    assert f"(pid {first})" in refused.value.message
    assert "sojourn down" in refused.value.message
    assert supervisor_pid(home) == first
    assert not is_gone(first)


def test_a_refused_claim_leaves_nothing_behind(home: Home, hold: Hold) -> None:
    (first,) = hold("supervisor")
    with pytest.raises(AlreadyRunning):
        claim_home(home)
    assert supervisor_pid(home) == first
    os.kill(first, 9)
    wait_until(lambda: supervisor_pid(home) is None)
    claim_home(home).release()


def test_a_home_is_free_again_after_its_release(home: Home) -> None:
    assert supervisor_pid(home) is None
    lock = claim_home(home)
    assert supervisor_pid(home) == os.getpid()
    lock.release()
    assert supervisor_pid(home) is None
    claim_home(home).release()


def test_the_pid_that_a_dead_supervisor_left_counts_for_nothing(home: Home) -> None:
    home.supervisor_lock.write_text("1")
    assert supervisor_pid(home) is None
    claim_home(home).release()


def test_who_only_asks_who_runs_keeps_nobody_from_starting(home: Home) -> None:
    home.supervisor_lock.touch()
    asking = os.open(home.supervisor_lock, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    done = threading.Timer(0.05, os.close, (asking,))
    done.start()
    claim_home(home).release()
    done.join()


@pytest.mark.parametrize("which", ["alive", "alive-with-program"])
def test_leftovers_are_killed_with_their_programs_before_the_home_is_claimed(
    home: Home, hold: Hold, which: str
) -> None:
    pids = hold(which) + hold(which)
    lock = claim_home(home)
    assert is_gone(pids[0])
    assert is_gone(pids[len(pids) // 2])
    wait_until(lambda: all(is_gone(pid) for pid in pids), 1.0)
    lock.release()


def test_a_claimed_home_lets_new_processes_hold_the_alive_lock(home: Home) -> None:
    lock = claim_home(home)
    alive = os.open(home.alive_lock, os.O_RDWR)
    fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(alive)
    lock.release()


def test_who_has_the_file_open_by_another_path_is_found(home: Home, hold: Hold, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(home.root)
    (pid,) = hold("alive")
    claim_home(Home(link)).release()
    assert is_gone(pid)


def test_after_a_supervisors_death_its_successor_finds_everything_dead(tmp_path: Path, home: Home) -> None:
    file = tmp_path / "all.json"
    command = [sys.executable, "-m", "tests.hosts.tiny_supervisor", str(tmp_path), str(FLOWS), str(file)]
    supervisor = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until(file.exists, 20.0)
    finally:
        supervisor.kill()
        supervisor.wait()
    began = time.monotonic()
    claim_home(home).release()
    assert time.monotonic() - began < 1.0
    pids = json.loads(file.read_text())
    assert len(pids) == 4
    # The guard has sent its kills before it lets go of the lock; the kernel carries them out.
    wait_until(lambda: all(is_gone(pid) for pid in pids), 0.3)


def test_a_home_that_cannot_be_written_is_refused_with_a_sentence(tmp_path: Path) -> None:
    home = Home(tmp_path / "gone")
    with pytest.raises(HostUnable, match="--home"):
        claim_home(home)
