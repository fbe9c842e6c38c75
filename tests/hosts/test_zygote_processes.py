"""Actor processes as a supervisor has them from its zygote: what they are, and how they all die."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import IO

import psutil
import pytest

from sojourn.hosts.pages import create_page
from sojourn.hosts.zygotes import OUTPUT_AT_ONCE, ProcessHandle, Zygote
from sojourn.runtime.values import decode_fields
from sojourn.runtime.wire.actor import Ending
from sojourn.runtime.wire.zygote import Fork, Shutdown
from tests.hosts.tiny_supervisor import (
    FLOWS,
    ROOT,
    ActorProcess,
    TinySupervisor,
    descendants,
    is_gone,
    write_module,
)
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Generator[TinySupervisor]:
    """One supervisor for the tests that neither kill nor hang its zygote."""
    with TinySupervisor(tmp_path_factory.mktemp("host")) as supervisor:
        yield supervisor


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder for modules of one test."""
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


# --- forked processes -------------------------------------------------------------------------------


def show(process: ActorProcess) -> dict[str, object]:
    return decode_fields(process.result(process.hand_over("show_process")).emissions[0][1])


def test_an_actor_process_has_a_session_a_title_and_the_working_directory_of_its_own(
    host: TinySupervisor,
) -> None:
    process = host.start()
    shown = show(process)
    assert shown["session"] == shown["group"] == shown["pid"] == process.handle.pid
    assert os.getsid(host.zygote.pid) == host.zygote.pid
    assert shown["cwd"] == str(FLOWS)
    assert shown["omp"] == "1"
    assert str(shown["title"]).startswith("sojourn-actor acts/plain")
    assert shown["sockets"] == 1  # its own to the supervisor; not the zygote's


def test_the_number_of_threads_that_the_environment_asks_for_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with TinySupervisor(tmp_path) as supervisor:
        assert show(supervisor.start())["omp"] == "3"


def test_siblings_draw_different_random_numbers(tmp_path: Path, code: Path) -> None:
    write_module(code, "dice", """
        import random
        import numpy.random
        from sojourn import Flow, Routine

        random.seed(1)
        numpy.random.seed(1)

        class Roll(Routine):
            def process(self):
                self.emit("output", a=random.random(), b=float(numpy.random.random()))

        flow = Flow("dice")
        flow.add_routine(Roll(), "roll")
        """)
    with TinySupervisor(tmp_path, paths=[code]) as supervisor:
        assert supervisor.inspected("dice:flow").forks
        rolls = [
            decode_fields(process.result(process.hand_over()).emissions[0][1])
            for process in (supervisor.start("roll", "dice:flow") for _ in range(2))
        ]
        assert rolls[0]["a"] != rolls[1]["a"]
        assert rolls[0]["b"] != rolls[1]["b"]


def test_threads_of_an_import_make_actor_processes_fresh_interpreters(tmp_path: Path, code: Path) -> None:
    write_module(code, "threaded", f"""
        import sys, threading
        sys.path.append({str(FLOWS)!r})
        threading.Thread(target=threading.Event().wait).start()
        from acts import flow
        """)
    with TinySupervisor(tmp_path, paths=[code, FLOWS]) as supervisor:
        assert not supervisor.inspected("threaded:flow").forks
        assert not supervisor.inspected("acts:flow").forks
        process = supervisor.start("plain", "acts:flow")
        result = process.result(process.hand_over(n=1))
        assert result.ending is Ending.SUCCEEDED
        shown = show(process)
        assert shown["session"] == shown["pid"] == process.handle.pid
        assert str(shown["title"]).startswith("sojourn-actor acts/plain")
        assert process.ready.code == supervisor.inspected("acts:flow").code
        process.hand_over("die", status=5)
        assert supervisor.exited(process.name).status == 5


@pytest.mark.parametrize(
    ("slot", "fields", "status"),
    [("die", {"status": 3}, 3), ("segfault", {}, -signal.SIGSEGV)],
)
def test_a_death_is_reported_with_its_status(
    host: TinySupervisor, slot: str, fields: dict[str, object], status: int
) -> None:
    process = host.start()
    process.hand_over_all([(slot, fields)])
    message = host.exited(process.name)
    assert (message.pid, message.status) == (process.handle.pid, status)
    assert not process.handle.alive()
    if status < 0:
        assert b"Segmentation fault" in process.handle.drain_output()


def test_a_death_takes_the_programs_along_that_the_handler_started(
    host: TinySupervisor, tmp_path: Path
) -> None:
    process = host.start()
    file = tmp_path / "pids"
    process.hand_over("spawn", file=str(file))
    wait_until(file.exists)
    own, child = map(int, file.read_text().split())
    os.kill(own, signal.SIGKILL)
    assert host.exited(process.name).status == -signal.SIGKILL
    wait_until(lambda: is_gone(child), 1.0)


def test_a_process_over_its_memory_limit_fails_and_the_host_does_not(host: TinySupervisor) -> None:
    process = host.start(memory_limit=1 << 30)
    result = process.result(process.hand_over("grow", size=2 << 30))
    assert result.error is not None
    assert result.error.type == "MemoryError"
    assert process.result(process.hand_over(n=1)).ending is Ending.SUCCEEDED


def test_a_process_that_prints_more_than_it_should_does_not_hold_its_supervisor_up(tmp_path: Path) -> None:
    # A file instead of a pipe: there is always more to read, whoever is faster.
    flood = tmp_path / "flood"
    flood.write_bytes(b"y\n" * OUTPUT_AT_ONCE)
    handle = ProcessHandle(
        "flooding", os.getpid(), os.pidfd_open(os.getpid()), os.open(flood, os.O_RDONLY),
        create_page(tmp_path, "page"),
    )
    assert [len(handle.drain_output()) for _ in range(3)] == [OUTPUT_AT_ONCE, OUTPUT_AT_ONCE, 0]
    assert handle.output_fd == -1
    handle.close()


def test_a_process_that_cannot_start_says_why(host: TinySupervisor) -> None:
    request = host.next_request()
    page = create_page(host.home.pages, "vanishing")
    page.unlink()
    host.zygote.send(
        Fork(request, "vanishing", "ipc://x", host.inspected().flow, "", "plain", str(page), "")
    )
    reception = host.answer(request)
    assert host.exited("vanishing").status == 1
    said = os.read(reception.fds[1], 1 << 16)
    assert b"FileNotFoundError" in said
    for descriptor in reception.fds:
        os.close(descriptor)


# --- no orphans -------------------------------------------------------------------------------------


def begin_spawning(supervisor: TinySupervisor, tmp_path: Path) -> set[int]:
    """Have a handler start a program; give the pids of zygote, guard, actor process and program."""
    process = supervisor.start()
    file = tmp_path / "pids"
    process.hand_over("spawn", file=str(file))
    wait_until(file.exists)
    zygote = supervisor.zygote.pid
    pids = {zygote, *descendants(zygote)}
    assert {process.handle.pid, *map(int, file.read_text().split())} < pids
    assert len(pids) == 4
    return pids


@pytest.mark.parametrize("how", ["shut down", "killed", "closed"])
def test_a_zygotes_end_is_the_end_of_all_below_it(tmp_path: Path, how: str) -> None:
    with TinySupervisor(tmp_path) as supervisor:
        pids = begin_spawning(supervisor, tmp_path)
        match how:
            case "shut down":
                supervisor.zygote.send(Shutdown())
            case "killed":
                supervisor.zygote.kill()
            case _:
                with socket.socket(fileno=os.dup(supervisor.zygote.fileno())) as stream:
                    stream.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: all(is_gone(pid) for pid in pids), 2.0)


def test_a_zygote_killed_at_any_moment_of_its_start_leaves_nothing(tmp_path: Path) -> None:
    alive = tmp_path / "alive.lock"
    for attempt in range(12):
        zygote = Zygote(
            python="", paths=[str(FLOWS)], allow=(), modules=("acts",), alive_lock=alive,
            import_timeout=60.0,
        )
        began = time.monotonic()
        wait_until(partial(_is_past, began + attempt * 0.015))  # the moment is the test's parameter
        zygote.close()
        with alive.open("a") as lock:
            wait_until(partial(_locks, lock), 2.0, "the end of zygote and guard")


def _is_past(moment: float) -> bool:
    return time.monotonic() >= moment


def _locks(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def test_nothing_goes_on_without_its_guard(tmp_path: Path) -> None:
    with TinySupervisor(tmp_path) as supervisor:
        pids = begin_spawning(supervisor, tmp_path)
        (guard,) = (
            pid for pid in psutil.Process(supervisor.zygote.pid).children()
            if pid.name().startswith("sojourn-guard")
        )
        guard.kill()
        wait_until(lambda: all(is_gone(pid) for pid in pids), 2.0)


@pytest.mark.parametrize("attempt", range(3))
def test_a_supervisors_death_ends_zygotes_actors_and_their_programs_within_a_second(
    tmp_path: Path, attempt: int
) -> None:
    file = tmp_path / "all.json"
    command = [sys.executable, "-m", "tests.hosts.tiny_supervisor", str(tmp_path), str(FLOWS), str(file)]
    supervisor = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until(file.exists, 20.0)
        pids = json.loads(file.read_text())
        assert len(pids) == 4
        assert not any(is_gone(pid) for pid in pids)
    finally:
        supervisor.kill()
        supervisor.wait()
    wait_until(lambda: all(is_gone(pid) for pid in pids), 1.0, "the end of all below the supervisor")


def test_ctrl_c_at_the_supervisor_reaches_nothing_below_it(tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    command = [sys.executable, "-m", "tests.hosts.tiny_supervisor", str(tmp_path), str(FLOWS), str(file)]
    supervisor = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        wait_until(file.exists, 20.0)
        groups = {os.getpgid(pid) for pid in json.loads(file.read_text())}
        assert supervisor.pid not in groups
    finally:
        supervisor.kill()
        supervisor.wait()

