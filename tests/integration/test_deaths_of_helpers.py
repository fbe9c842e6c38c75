"""Deaths and stops of what stands around the actors: zygotes, guards, and the supervisor's own pauses."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil

from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, attempts, check_effects, read_effects
from tests.waiting import wait_until


def begin(host: Host, effects: Path, flow: str = "crashing:sleeper", seconds: float = 2.0) -> int:
    """Begin a long turn and give the pid of its process."""
    host.submit(flow, "job", seconds=seconds)
    (begun,) = wait_until(lambda: read_effects(effects), what="the turn to begin")
    return begun.pid


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def guards(host: Host, actor: int) -> list[psutil.Process]:
    """Give what a host has beside the zygote of an actor process."""
    zygote = psutil.Process(actor).ppid()
    return [p for p in host.processes() if p.pid not in (actor, zygote)]


def test_a_zygote_that_is_killed_interrupts_its_turns_and_charges_nobody(
    host: Host, effects: Path
) -> None:
    actor = begin(host, effects)
    os.kill(psutil.Process(actor).ppid(), signal.SIGKILL)
    final = host.wait("job")
    assert attempts(final, "sleeper") == [(1, 1, "interrupted", "a"), (1, 1, "succeeded", "a")]
    assert not alive(actor)
    check_effects(read_effects(effects), final)


def test_without_its_guard_a_zygote_still_leaves_no_orphans(host: Host, effects: Path) -> None:
    actor = begin(host, effects, seconds=60.0)
    zygote = psutil.Process(actor).ppid()
    (guard,) = guards(host, actor)
    guard.kill()
    host.kill()
    wait_until(lambda: not alive(actor) and not alive(zygote), 5.0, "everything to be gone")
    host.up()
    host.do("cancel", "job")
    # The second one, where the turn began again before it was cancelled.
    assert {o[1:3] for o in attempts(host.show("job"), "sleeper")} == {(1, "interrupted")}


def test_a_supervisor_that_was_stopped_for_a_while_charges_no_attempt(
    host: Host, effects: Path
) -> None:
    host.submit("stuck:timed", "job")
    wait_until(lambda: read_effects(effects), what="the turn to begin")
    os.kill(host.pid, signal.SIGSTOP)
    over = time.monotonic() + 1.5
    wait_until(lambda: [e for e in read_effects(effects) if e.what == "timed out"], what="its end")
    wait_until(lambda: time.monotonic() > over, what="the timeout to be over")
    os.kill(host.pid, signal.SIGCONT)
    final = host.wait("job")
    assert attempts(final, "timed") == [(1, 1, "succeeded", "a")]


HELD_IMPORT = """
import time
from pathlib import Path

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine

folder = Path(__file__).parent
while (folder / "hold").exists():
    (folder / "importing").touch()
    time.sleep(0.01)


class Step(Routine):
    def process(self) -> None:
        if self.attempt == 1:
            raise ValueError("not yet")


flow = Flow("held-import")
flow.add_routine(Step(), "step", error_handler=ErrorHandler(ErrorStrategy.RETRY, retry_delay=0.5))
"""


def test_a_zygote_that_is_killed_while_it_imports_blocks_no_job(
    make_host: MakeHost, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "held_import.py").write_text(HELD_IMPORT)
    host = make_host("a", paths=[code]).up()
    host.submit("held_import:flow", "job")
    host.wait("job", "step.retry_count >= 1")
    host.kill()
    (code / "hold").touch()
    host.up()
    wait_until((code / "importing").exists, 20.0, "the import to begin")
    for process in host.processes():
        if "zygote" in " ".join(process.cmdline()):
            process.kill()
    (code / "hold").unlink()
    final = host.wait("job")
    assert attempts(final, "step") == [(1, 1, "failed", "a"), (1, 2, "succeeded", "a")]
