"""``sojourn run`` with a supervisor of its own: nothing is left running, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sojourn.hosts.home import Home
from sojourn.hosts.orphans import supervisor_pid
from tests.waiting import wait_until

PROGRAM = (sys.executable, "-m", "sojourn.hosts.cli")
FLOWS = '''
import pathlib
import time

from sojourn import Flow, Routine


class Step(Routine):
    def process(self, fail: bool = False, gate: str = "") -> None:
        print("hello")
        if fail:
            raise ValueError("as asked")
        if gate:
            self.progress["tries"] = self.progress.get("tries", 0) + 1
            self.checkpoint()
            pathlib.Path(gate + ".waits").touch()
            while not pathlib.Path(gate).exists():
                time.sleep(0.01)
                self.checkpoint()
        self.set_result(done=True, tries=self.progress.get("tries", 1))


flow = Flow("steps")
flow.add_routine(Step(), "step")
'''


class Place:
    """A folder with flows, and a home beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "home")
        (folder / "steps.py").write_text(FLOWS)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SOJOURN_")}
        return subprocess.Popen(
            [*PROGRAM, *arguments, "--home", str(self.home.root)],
            cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def leftovers(self) -> list[int]:
        """Give the processes that work in this folder."""
        found: list[int] = []
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.folder):
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_prints_the_result_and_leaves_a_home_but_nothing_running(place: Place) -> None:
    code, out, err = place.run("run", "steps:flow")
    assert (code, json.loads(out)) == (0, {"done": True, "tries": 1}), err
    assert err.startswith("job ")
    assert supervisor_pid(place.home) is None
    assert place.home.store.exists()
    wait_until(lambda: not place.leftovers(), what="the end of every process")


def test_a_job_that_fails_exits_with_1(place: Place) -> None:
    code, out, err = place.run("run", "steps:flow", "--input", '{"fail": true}')
    assert (code, out) == (1, "")
    assert "ValueError: as asked" in err
    assert supervisor_pid(place.home) is None


def test_a_flow_that_is_not_there_exits_with_3_and_stops_the_supervisor(place: Place) -> None:
    code, out, err = place.run("run", "steps:nosuch")
    assert (code, out) == (3, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert supervisor_pid(place.home) is None


def test_a_supervisor_that_can_not_start_is_told_with_its_reason(place: Place) -> None:
    place.home.create()
    place.home.store.write_text("no database at all, but long enough to be taken for one " * 20)
    code, out, err = place.run("run", "steps:flow")
    assert (code, out) == (6, "")
    assert f"no supervisor runs on {place.home.root}, and none could be started: " in err
    assert "error: error:" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_an_interrupted_run_goes_on_with_the_next(place: Place, number: signal.Signals) -> None:
    gate = place.folder / "gate"
    again = ("run", "steps:flow", "--job-id", "mine", "--input", json.dumps({"gate": str(gate)}))
    process = place.start(*again)
    wait_until((place.folder / "gate.waits").exists, what="the turn")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    goes_on = f"job mine goes on with the next `sojourn run` or `sojourn up --home {place.home.root}`"
    assert goes_on in err
    assert supervisor_pid(place.home) is None
    wait_until(lambda: not place.leftovers(), what="the end of every process")

    gate.touch()
    code, out, err = place.run(*again)
    assert (code, json.loads(out)) == (0, {"done": True, "tries": 2}), err


def test_a_supervisor_that_runs_already_is_used_and_left_running(place: Place) -> None:
    supervisor = place.start("up")
    try:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline().startswith("ready")
        code, out, err = place.run("run", "steps:flow")
        assert (code, json.loads(out)["done"]) == (0, True), err
        assert supervisor_pid(place.home) == supervisor.pid
        assert place.run("down")[0] == 0
        assert supervisor_pid(place.home) is None
    finally:
        supervisor.terminate()
        supervisor.communicate(timeout=20)
    assert supervisor.returncode == 0
