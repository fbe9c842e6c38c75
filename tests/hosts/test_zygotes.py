"""Zygotes as a supervisor uses them: what they load, what they refuse, and in what time."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from msgspec.structs import replace

from sojourn.runtime.flow import decode_flow, encode_flow
from sojourn.runtime.values import decode_fields
from sojourn.runtime.wire.zygote import Check, Fork, Inspect, Inspected, LoadFailed, Started
from tests.hosts.tiny_supervisor import (
    FLOWS,
    TinySupervisor,
    is_gone,
    write_module,
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
        ("acts:not_a_flow", "InvalidFlow", "of type dict"),
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
    for name in ("first", "second"):
        write_module(code, name, f"""
            import os, time
            while not os.path.exists({str(tmp_path / name)!r}):
                time.sleep(0.002)
            raise ValueError
            """)
    with TinySupervisor(tmp_path, paths=[code], import_timeout=60.0) as supervisor:
        zygote = supervisor.zygote
        first, second = supervisor.next_request(), supervisor.next_request()
        zygote.send(Inspect(first, "first:flow"))
        zygote.send(Inspect(second, "second:flow"))
        before = zygote.deadline
        (tmp_path / "first").touch()
        supervisor.answer(first)
        after = zygote.deadline
        assert before is not None
        assert after is not None
        assert after > before
        (tmp_path / "second").touch()
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


def test_an_interpreter_without_this_package_is_named(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text("#!/bin/sh\necho No module named sojourn >&2\nexit 1\n")
    bare.chmod(0o755)
    with TinySupervisor(tmp_path, python=str(bare)) as supervisor:
        message = supervisor.refused("acts:flow").message
        assert f"ended with status 1 before it began: install this version of sojourn for {bare}" in message
