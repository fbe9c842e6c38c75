"""Submits of flows that were submitted before, and the documents of many jobs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host

AGAIN = """
from sojourn import Flow, Routine


class Step(Routine):
    def process(self, n: int) -> None:
        self.set_result(n=n)


flow = Flow("again")
flow.add_routine(Step(), "step")
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    code = tmp_path / "code"
    code.mkdir()
    (code / "again.py").write_text(AGAIN)
    return code


@pytest.fixture
def host(make_host: MakeHost, code: Path) -> Host:
    return make_host("a", paths=[code]).up()


def zygote_of(host: Host) -> psutil.Process:
    (found,) = [p for p in host.processes() if "sojourn-zygote" in " ".join(p.cmdline())]
    return found


def test_a_flow_that_was_looked_at_is_looked_at_again_only_when_its_code_has_changed(
    host: Host, code: Path
) -> None:
    host.submit("again:flow", "first", n=1)
    first = host.wait("first")
    zygote = zygote_of(host)
    os.kill(zygote.pid, signal.SIGSTOP)
    try:
        host.submit("again:flow", "second", n=2)
        second = host.wait("second")
    finally:
        os.kill(zygote.pid, signal.SIGCONT)
    (code / "again.py").write_text(AGAIN + "# changed\n")
    host.submit("again:flow", "third", n=3)
    third = host.wait("third")
    assert [job["result"] for job in (first, second, third)] == [{"n": 1}, {"n": 2}, {"n": 3}]
    codes = [job["history"][0]["code"] for job in (first, second, third)]
    assert codes[0] == codes[1] != codes[2]


def test_the_documents_of_many_jobs_are_those_that_show_gives(host: Host) -> None:
    with host.client() as client:
        names = [f"job-{n}" for n in range(300)]
        client.submit_many("again:flow", [{"n": n} for n in range(300)], job_ids=names)
        asked = [*names, "job-7"]
        states = client.wait_all(asked, timeout=60.0)
        assert [state.job_id for state in states] == asked
        assert [state.result["n"] for state in states] == [*range(300), 7]
        for state in states[::50]:
            assert state.serialize() == client.show(state.job_id).serialize()
        # all of them are over, and known by the store alone
        assert [state.serialize() for state in client.wait_all(asked)] == [
            state.serialize() for state in states
        ]
