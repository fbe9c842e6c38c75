"""``up --drain-to``: SIGTERM moves everything away before it stops; another signal stops at once."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from sojourn.runtime.wire.client import Status
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, attempts, check_effects, pair_hosts, read_effects
from tests.integration.judging import the_owner, wait_for_owner
from tests.integration.moving import warm_up
from tests.integration.test_several_jobs import started
from tests.waiting import wait_until


def heard(channel: socket.socket) -> list[str]:
    """Give the assignments that the service manager was sent so far."""
    found: list[str] = []
    while True:
        try:
            found.extend(channel.recv(4096).decode().splitlines())
        except BlockingIOError:
            return found


def held(host: Host, flag: Path) -> None:
    """Start a job whose turn lasts until a file is there, and wait until it runs."""
    host.submit("load:held", "held", flag=str(flag))
    wait_until(
        lambda: any(e.what == "held" and e.host == host.name for e in read_effects(host.effects)), 20.0,
        "the turn to begin",
    )


def test_sigterm_moves_every_job_away_and_the_next_start_takes_jobs_again(
    make_host: MakeHost, tmp_path: Path
) -> None:
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(place))
        channel.setblocking(False)
        a, b = make_host("a").up("--drain-to", "b", NOTIFY_SOCKET=str(place)), make_host("b").up()
        pair_hosts(a, b)
        jobs = started(a, "one", "two", "three")
        said = heard(channel)
        assert said == ["READY=1"]
        assert a.terminate() == 0
        said = heard(channel)
    assert said[0] == "STOPPING=1"
    assert "STATUS=draining to b" in said
    assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in said)
    assert {job: b.show(job)["epoch"] for job in jobs} == dict.fromkeys(jobs, 2)
    a.up()
    for job in jobs:
        assert wait_for_owner((a, b), job) is b
        b.do("cancel", job)
    assert a.ask(Status())["cordoned"] is False


def test_a_second_sigterm_stops_at_once_and_nothing_is_lost(
    make_host: MakeHost, tmp_path: Path
) -> None:
    a, b = make_host("a").up("--drain-to", "b", "--grace", "100"), make_host("b").up()
    pair_hosts(a, b)
    warm_up(b, "load:held", flag=str(tmp_path))
    flag = tmp_path / "flag"
    held(a, flag)
    os.kill(a.pid, signal.SIGTERM)
    wait_until(lambda: a.show("held")["status"] == "moving", 20.0, "the drain to wait for the turn")
    assert a.running
    assert a.terminate(20.0) == 0
    a.up()
    assert wait_for_owner((a, b), "held") is a
    flag.touch()
    final = a.wait("held")
    assert [entry[1:3] for entry in attempts(final, "held")] == [(1, "interrupted"), (1, "succeeded")]
    check_effects(read_effects(a.effects), final)


def test_without_a_drain_too_a_second_signal_ends_the_grace(make_host: MakeHost, tmp_path: Path) -> None:
    a = make_host("a").up("--grace", "100")
    held(a, tmp_path / "flag")
    os.kill(a.pid, signal.SIGTERM)
    wait_until(lambda: any(e["event"] == "stopping" for e in a.log()), 20.0, "a to be stopping")
    assert a.running
    assert a.terminate(20.0) == 0


def test_down_and_ctrl_c_stop_without_a_drain(make_host: MakeHost) -> None:
    a, b = make_host("a").up("--drain-to", "b"), make_host("b").up()
    pair_hosts(a, b)
    started(a, "job")
    a.do("down")
    a.died()
    a.up("--drain-to", "b")
    assert the_owner((a, b), "job") is a
    os.kill(a.pid, signal.SIGINT)
    a.died()
    a.up()
    assert the_owner((a, b), "job") is a


def test_where_nothing_can_be_drained_it_stops_all_the_same_and_says_so(make_host: MakeHost) -> None:
    a = make_host("a").up("--drain-to", "nonesuch")
    started(a, "job")
    assert a.terminate() == 0
    assert "not drained" in a.output
    b = make_host("b").up()
    a.up("--drain-to", "b")
    pair_hosts(a, b)
    b.do("cordon")
    assert a.terminate() == 0
    assert "stay on host 'a'" in a.output
    a.up()
    assert a.show("job")["status"] == "running"
