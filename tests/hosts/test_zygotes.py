"""Zygotes as a supervisor uses them: what they load, refuse, fork, and how they die."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import IO

import psutil
import pytest
from msgspec.structs import replace

from sojourn.hosts.pages import create_page
from sojourn.hosts.zygotes import Zygote
from sojourn.runtime.flow import decode_flow, encode_flow
from sojourn.runtime.values import decode_fields
from sojourn.runtime.wire.actor import Ending
from sojourn.runtime.wire.zygote import Check, Fork, Inspect, Inspected, LoadFailed, Shutdown, Started
from tests.hosts.tiny_supervisor import (
    FLOWS,
    ROOT,
    ActorProcess,
    TinySupervisor,
    descendants,
    is_gone,
)
from tests.waiting import wait_until

FLOW = """
    from sojourn import Flow, Routine

    class Step(Routine):
        def process(self):
            self.emit("output")

    flow = Flow("small")
    flow.add_routine(Step(), "step")
"""


def write_module(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


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


# --- what is loaded ---------------------------------------------------------------------------------


def test_the_first_message_of_a_zygote_is_its_pid(tmp_path: Path) -> None:
    with TinySupervisor(tmp_path) as supervisor:
        message = supervisor.hear(lambda _: True).message
        assert message == Started(supervisor.zygote.pid)


def test_a_flow_is_found_with_the_fingerprint_of_the_files_that_it_loads(
    tmp_path: Path, code: Path
) -> None:
    write_module(code, "small", "import helping.words\n" + textwrap.dedent(FLOW))
    words = write_module(code / "helping", "words", "WORD = 1\n")
    write_module(code, "unused", "")
    codes: list[str] = []
    for _ in range(2):
        with TinySupervisor(tmp_path, paths=[code]) as supervisor:
            found = supervisor.inspected("small:flow")
            assert decode_flow(found.flow).id == "small"
            assert [name for name, _ in found.files] == ["helping/words.py", "small.py"]
            assert supervisor.zygote.code_is_current(found.files)
            codes.append(found.code)
            words.write_text("WORD = 2\n")
            assert supervisor.zygote.code_is_current(found.files) is (len(codes) == 2)
    assert codes[0].startswith("sha256:")
    assert codes[0] != codes[1]


def test_a_flow_known_from_elsewhere_is_checked(host: TinySupervisor) -> None:
    found = host.inspected()
    request = host.next_request()
    host.zygote.send(Check(request, found.flow))
    answer = host.answer(request).message
    assert answer == Inspected(request, found.flow, found.code, found.files, forks=True)


def test_a_flow_of_a_mebibyte_passes_both_ways(tmp_path: Path, code: Path) -> None:
    write_module(
        code, "large", """
        from sojourn import Flow, Routine

        class Step(Routine):
            def __init__(self, table):
                self._table = table
            def process(self):
                self.emit("output", size=len(self._table))

        flow = Flow("large")
        flow.add_routine(Step(["x" * 50_000 for _ in range(24)]), "step")
        """,
    )
    with TinySupervisor(tmp_path, paths=[code]) as supervisor:
        assert len(supervisor.inspected("large:flow").flow) > 1 << 20
        process = supervisor.start("step", "large:flow")
        result = process.result(process.hand_over())
        assert decode_fields(result.emissions[0][1]) == {"size": 24}


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("locator", "kind", "said"),
    [
        ("nowhere:flow", "NotFound", str(FLOWS)),
        ("nowhere.at.all:flow", "NotFound", "'nowhere.at.all'"),
        ("acts.deeper:flow", "NotFound", "'acts.deeper'"),
        ("acts:missing", "NotFound", "'missing'"),
        ("acts:flow.missing", "NotFound", "'flow.missing'"),
        ("acts", "InvalidInput", "MODULE:ATTR"),
        (":flow", "InvalidInput", "MODULE:ATTR"),
        ("acts:not_a_flow", "InvalidFlow", "a dict"),
        ("json:dumps", "AccessDenied", "--allow json"),
        ("sys:path", "AccessDenied", "--allow sys"),
        ("zmq.backend:flow", "AccessDenied", "--allow zmq"),
    ],
)
def test_what_is_no_flow_of_this_host_is_refused_by_name(
    host: TinySupervisor, locator: str, kind: str, said: str
) -> None:
    answer = host.refused(locator)
    assert answer.kind == kind
    assert said in answer.message


def test_a_module_outside_the_allow_list_is_not_imported(tmp_path: Path, code: Path) -> None:
    installed = code / "site-packages"
    marker = tmp_path / "imported"
    package = f"open({str(marker)!r}, 'a').close()\n"
    write_module(installed / "bundle", "__init__", package)
    write_module(installed / "bundle", "inner", textwrap.dedent(FLOW))
    with TinySupervisor(tmp_path, paths=[code, installed / "none"]) as supervisor:
        assert supervisor.refused("bundle.inner:flow").kind == "NotFound"
    search = f"import sys; sys.path.append({str(installed)!r})\n"
    write_module(code, "searching", search + textwrap.dedent(FLOW))
    with TinySupervisor(tmp_path, paths=[code]) as supervisor:
        supervisor.inspected("searching:flow")
        answer = supervisor.refused("bundle.inner:flow")
        assert (answer.kind, "--allow bundle" in answer.message) == ("AccessDenied", True)
        assert not marker.exists()
    with TinySupervisor(tmp_path, paths=[code], allow=["bundle"]) as supervisor:
        supervisor.inspected("searching:flow")
        assert decode_flow(supervisor.inspected("bundle.inner:flow").flow).id == "small"
        assert marker.exists()


def test_a_prefix_allows_its_packages_and_no_name_that_begins_alike(tmp_path: Path, code: Path) -> None:
    with TinySupervisor(tmp_path, paths=[code], allow=["js"]) as supervisor:
        assert supervisor.refused("json:dumps").kind == "AccessDenied"
    with TinySupervisor(tmp_path, paths=[code], allow=["json"]) as supervisor:
        assert supervisor.refused("json.decoder:JSONDecoder").kind == "InvalidFlow"


@pytest.mark.parametrize(
    ("cls", "kind", "said"),
    [
        ("os:PathLike", "AccessDenied", "--allow os"),
        ("acts:Path", "AccessDenied", "no Routine"),
        ("acts:Missing", "NotFound", "'Missing'"),
    ],
)
def test_a_peers_flow_may_only_name_routines_of_allowed_modules(
    host: TinySupervisor, cls: str, kind: str, said: str
) -> None:
    spec = decode_flow(host.inspected().flow)
    routines = tuple(replace(routine, cls=cls) for routine in spec.routines)
    request = host.next_request()
    host.zygote.send(Check(request, encode_flow(replace(spec, routines=routines))))
    answer = host.answer(request).message
    assert isinstance(answer, LoadFailed)
    assert answer.kind == kind
    assert said in answer.message


def test_bytes_that_are_no_flow_are_refused_and_the_zygote_lives(host: TinySupervisor) -> None:
    for message in (
        Check(host.next_request(), b"\xc1"),
        Fork(host.next_request(), "x", "ipc://x", b"\xc1", "", "plain", "", ""),
    ):
        host.zygote.send(message)
        answer = host.answer(message.request).message
        assert isinstance(answer, LoadFailed)
        assert answer.kind == "ProtocolViolation"
    assert host.inspected().forks


def test_a_routine_that_the_flow_has_not_is_no_process(host: TinySupervisor) -> None:
    request = host.next_request()
    host.zygote.send(Fork(request, "x", "ipc://x", host.inspected().flow, "", "nobody", "", ""))
    answer = host.answer(request).message
    assert isinstance(answer, LoadFailed)
    assert (answer.kind, "'nobody'" in answer.message) == ("NotFound", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ValueError('no luck')", ["ValueError: no luck", "bad.py:1"]),
        ("import not_installed", ["ModuleNotFoundError", "not_installed"]),
        ("def f(:", ["SyntaxError", "bad.py"]),
        ("raise SystemExit(3)", ["SystemExit"]),
        ("raise KeyboardInterrupt", ["KeyboardInterrupt"]),
    ],
)
def test_an_import_that_fails_is_answered_with_its_error_and_the_zygote_lives(
    tmp_path: Path, code: Path, text: str, said: list[str]
) -> None:
    write_module(code, "bad", text)
    write_module(code, "small", FLOW)
    with TinySupervisor(tmp_path, paths=[code]) as supervisor:
        answer = supervisor.refused("bad:flow")
        assert answer.kind == "CodeNotLoadable"
        for part in said:
            assert part in answer.message
        assert supervisor.inspected("small:flow").forks


def test_an_import_that_hangs_is_given_up_after_its_time(tmp_path: Path, code: Path) -> None:
    write_module(code, "hangs", "import threading\nthreading.Event().wait()\n")
    with TinySupervisor(tmp_path, paths=[code], import_timeout=1.0) as supervisor:
        zygote = supervisor.zygote
        requests = [supervisor.next_request(), supervisor.next_request()]
        for request in requests:
            zygote.send(Inspect(request, "hangs:flow"))
        began = time.monotonic()
        assert zygote.deadline == pytest.approx(began + 1.0, abs=0.3)
        zygote.expire(began + 0.5)
        assert not is_gone(zygote.pid)
        zygote.expire(began + 1.1)
        for request in requests:
            answer = supervisor.answer(request).message
            assert isinstance(answer, LoadFailed)
            assert answer.kind == "CodeNotLoadable"
            assert "took longer than 1 s" in answer.message
        wait_until(lambda: zygote.receive() == [] and zygote.dead)
        assert is_gone(zygote.pid)


def test_the_time_of_a_question_begins_when_the_one_before_it_is_answered(
    tmp_path: Path, code: Path
) -> None:
    write_module(code, "gated", f"""
        import os, time
        while not os.path.exists({str(tmp_path / "gate")!r}):
            time.sleep(0.002)
        """ + FLOW)
    with TinySupervisor(tmp_path, paths=[code], import_timeout=5.0) as supervisor:
        zygote = supervisor.zygote
        first, second = supervisor.next_request(), supervisor.next_request()
        zygote.send(Inspect(first, "gated:flow"))
        zygote.send(Inspect(second, "nowhere:flow"))
        before = zygote.deadline
        (tmp_path / "gate").touch()
        supervisor.answer(first)
        after = zygote.deadline
        assert before is not None
        assert after is None or after > before  # None: the second was answered in the same breath
        supervisor.answer(second)
        assert zygote.deadline is None


def test_an_import_that_ends_its_process_is_answered_with_how_it_ended(
    tmp_path: Path, code: Path
) -> None:
    write_module(code, "dies", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    with TinySupervisor(tmp_path, paths=[code]) as supervisor:
        answer = supervisor.refused("dies:flow")
        assert answer.kind == "CodeNotLoadable"
        assert "SIGSEGV" in answer.message
        assert supervisor.zygote.dead
        later = supervisor.refused("dies:flow")
        assert later.kind == "CodeNotLoadable"


@pytest.mark.parametrize("what", ["python", "path"])
def test_a_zygote_that_cannot_be_started_answers_with_the_reason(tmp_path: Path, what: str) -> None:
    missing = tmp_path / "missing"
    paths, python = ([missing], "") if what == "path" else ([FLOWS], str(missing))
    with TinySupervisor(tmp_path, paths=paths, python=python) as supervisor:
        answer = supervisor.refused("acts:flow")
        assert answer.kind == "CodeNotLoadable"
        assert str(missing) in answer.message
        assert supervisor.zygote.dead


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


def test_a_process_that_prints_without_end_does_not_hold_its_supervisor_up(
    host: TinySupervisor,
) -> None:
    process = host.start()
    with Path(f"/proc/{process.handle.pid}/fd/1").open("wb") as pipe:
        flood = subprocess.Popen(["yes"], stdout=pipe)
    try:
        wait_until(lambda: len(process.handle.drain_output()) > 1 << 16)
    finally:
        flood.kill()
        flood.wait()


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
                supervisor.zygote._socket.close()  # noqa: SLF001 - as a supervisor that lost it would
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

