"""Who asked a host for a job follows it wherever it moves: two hops on, back, past a host that is down."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sojourn import Client, Handoff, JobState
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, connected, pair_hosts
from tests.waiting import wait_until

T = TypeVar("T")
PHASES = ["precopy", "freeze", "delta", "commit", "activate"]


@pytest.fixture
def trio(make_host: MakeHost) -> tuple[Host, Host, Host]:
    """Three hosts that are up and paired with each other."""
    a, b, c = (make_host(name).up() for name in "abc")
    for one, other in ((a, b), (b, c), (c, a)):
        pair_hosts(one, other)
    wait_until(lambda: all(map(connected, (a, b, c))), 15.0, "all hosts to be connected")
    return a, b, c


@pytest.fixture
def end(tmp_path: Path) -> Path:
    """The file that ends the job."""
    return tmp_path / "end"


def asked_of(host: Host, ask: Callable[[Client], T]) -> Future[T]:
    """Ask a client's question in a thread of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            with host.client() as client:
                future.set_result(ask(client))
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


class Watchers:
    """Those who ask one host for ``job``, each in another way, before it moves; some for others, too."""

    def __init__(self, host: Host, *others: str) -> None:
        self.host = host
        self.wait = host.start("wait", "job", "-o", "json")
        self.logs = host.start("logs", "job", "-f", "-o", "json")
        self.state: Future[JobState] = asked_of(host, lambda client: client.wait("job", timeout=90.0))
        self.all: Future[list[JobState]] = asked_of(
            host, lambda client: client.wait_all(["job", *others], timeout=90.0)
        )
        self.result: Future[dict[str, Any]] = asked_of(
            host, lambda client: client.result("job", timeout=90.0)
        )

    def check(self, owner: Host) -> None:
        """See that all of them got their answers, from the host where the job ended."""
        document = json.loads(finished(self.wait))
        assert (document["status"], document["host"]) == ("completed", owner.name)
        lines = document["result"]["lines"]
        assert self.state.result(60).host == owner.name
        assert {state.status for state in self.all.result(60)} == {"completed"}
        assert self.all.result(60)[0].host == owner.name
        assert self.result.result(60) == {"lines": lines}
        told = [json.loads(line) for line in finished(self.logs).splitlines()]
        assert [line["text"] for line in told] == [f"line {number}" for number in range(lines)]
        assert [line["seq"] for line in told] == list(range(1, lines + 1))


def finished(process: subprocess.Popen[str]) -> str:
    """Give what a command printed, which must end well."""
    said, complaint = process.communicate(timeout=60.0)
    assert process.returncode == 0, complaint
    return said


def start(host: Host, end: Path) -> None:
    """Start ``job``, and ``other`` that stays where it is."""
    for job in ("job", "other"):
        host.submit("talking:flow", job, end=str(end))
        host.wait(job, "talker.succeeded >= 3")


def talks_on(host: Host) -> None:
    """See that the job goes on at a host."""
    done = host.show("job")["routines"]["talker"]["succeeded"]
    host.wait("job", f"talker.succeeded >= {done + 5}")


def test_who_watches_at_the_first_host_follows_over_two_hops(
    trio: tuple[Host, Host, Host], end: Path
) -> None:
    a, b, c = trio
    start(a, end)
    watchers = Watchers(a, "other")
    talks_on(a)
    a.do("migrate", "job", "--to", "b")
    talks_on(b)
    a.do("migrate", "job", "--to", "c")  # asked of the first host, too
    talks_on(c)
    end.touch()
    watchers.check(c)


def test_who_watches_follows_a_job_there_and_back_and_there_again(
    trio: tuple[Host, Host, Host], end: Path
) -> None:
    a, b, _ = trio
    start(a, end)
    watchers = Watchers(a, "other")
    for source, target in ((a, b), (b, a), (a, b)):
        source.migrate("job", target)
        talks_on(target)
    late = Watchers(b)
    b.migrate("job", a)
    talks_on(a)
    end.touch()
    watchers.check(a)
    late.check(a)


def test_a_host_on_the_way_that_is_down_is_passed_by(trio: tuple[Host, Host, Host], end: Path) -> None:
    a, b, c = trio
    start(a, end)
    watchers = Watchers(a, "other")
    a.migrate("job", b)
    talks_on(b)
    b.migrate("job", c)
    talks_on(c)
    b.kill()
    assert "ask there: sojourn show job --host c" in a.do("show", "job")
    for options in (["--host", "c"], ["--follow"], ["-f"]):
        document = json.loads(a.do("show", "job", "-o", "json", *options))
        assert (document["status"], document["host"]) == ("running", "c")
    a.do("pause", "job")
    assert c.show("job")["status"] == "paused"
    a.do("resume", "job")
    with a.client() as client:
        assert client.show("job").status == "moved"
        assert client.show("job", follow=True).host == "c"
        assert client.wait("job", until="talker.succeeded >= 1", timeout=30.0).host == "c"
        client.migrate("job", "a")
    talks_on(a)
    end.touch()
    watchers.check(a)


def test_a_host_that_was_down_when_the_job_went_on_asks_around(
    trio: tuple[Host, Host, Host], end: Path
) -> None:
    a, b, c = trio
    start(a, end)
    a.migrate("job", b)
    a.kill()
    b.migrate("job", c)
    b.kill()
    a.up()
    wait_until(
        lambda: a.run("pause", "job").returncode == 0, 20.0, "a to be connected to c and find the job there"
    )
    assert c.show("job")["status"] == "paused"
    assert a.show("job")["moved_to"] == "b", "it was told otherwise"


def test_where_nobody_knows_the_job_it_is_said_where_it_went(pair: tuple[Host, Host], end: Path) -> None:
    a, b = pair
    start(a, end)
    a.migrate("job", b)
    b.kill()
    wait_until(lambda: not connected(a), what="a to see that b is gone")
    for command in ("wait job", "logs job -f", "cancel job", "migrate job --to b"):
        done = a.run(*command.split())
        assert done.returncode == 5, done.stderr
        assert "job job went from host 'a' to host 'b'" in done.stderr
        assert "`sojourn show job` there" in done.stderr
    b.up()
    end.touch()
    wait_until(lambda: connected(a), 15.0, "a to see b again")
    assert a.wait("job")["status"] == "completed"


def test_history_logs_and_figures_travel_and_are_shown_on_each_host(
    trio: tuple[Host, Host, Host], end: Path
) -> None:
    a, b, c = trio
    start(a, end)
    hops = [(a, b), (b, c)]
    moved: list[Handoff] = []
    for source, target in hops:
        moved.append(source.migrate("job", target))
        talks_on(target)
        wait_until(lambda: figures(target)[-1]["downtime_ms"] is not None, what="the figures to arrive")  # noqa: B023
    end.touch()
    c.wait("job")

    expected: list[dict[str, Any]] = [
        {"from": m.source, "to": m.target, "epoch": m.epoch, "bytes": m.bytes, "phases_ms": m.phases_ms,
         "downtime_ms": m.downtime_ms}
        for m in moved
    ]
    assert [list(entry["phases_ms"]) for entry in expected] == [PHASES, PHASES]
    for host, known in ((a, expected[:1]), (b, expected), (c, expected)):
        document = json.loads(host.do("show", "job", "-o", "json", "--history", "10000"))
        assert document["handoffs"] == known
        text = host.do("show", "job")
        for entry in known:
            assert f"moved from {entry['from']} to {entry['to']}" in text
            for phase, took in entry["phases_ms"].items():
                assert f"{phase} {took:.1f}" in text
    final = c.show("job", history=10_000)
    lines = final["result"]["lines"]
    assert [entry["message"] for entry in final["history"]] == list(range(1, lines + 1))
    assert [entry["host"] for entry in final["history"]] == sorted(e["host"] for e in final["history"])
    told = [json.loads(line) for line in c.do("logs", "job", "-o", "json").splitlines()]
    assert [line["text"] for line in told] == [f"line {number}" for number in range(lines)]
    # The host in the middle kept its part.
    assert {entry["host"] for entry in b.show("job", history=10_000)["history"]} == {"a", "b"}


def figures(host: Host) -> list[dict[str, Any]]:
    """Give what a host knows of the job's hand-offs."""
    found: list[dict[str, Any]] = host.show("job")["handoffs"]
    return found
