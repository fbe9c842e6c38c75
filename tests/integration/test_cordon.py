"""A cordoned host: it takes no new jobs, whichever way they come, and those that it has go on."""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path

from sojourn import Handoff
from sojourn.runtime.wire.client import Peers, Status
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, pair_hosts
from tests.integration.judging import the_owner, wait_for_owner
from tests.integration.moving import begin_move, go_on, stopping_at, wait_stopped, warm_up
from tests.waiting import wait_until


def said_of(host: Host, peer: str) -> bool | None:
    """What a host knows of a peer's cordon."""
    (found,) = [entry["cordoned"] for entry in host.ask(Peers())["peers"] if entry["name"] == peer]
    assert found in (True, False, None)
    return bool(found) if found is not None else None


def test_it_refuses_every_new_job_and_runs_those_that_it_has(
    pair: tuple[Host, Host], tmp_path: Path
) -> None:
    a, b = pair
    a.submit("failing:crossing", "own")
    b.submit("failing:endless", "theirs")
    b.wait("theirs", "failing.retry_count >= 1")
    b.do("export", "theirs", str(tmp_path / "theirs.json"))
    assert a.do("cordon") == "a cordoned"
    for refused in (
        a.run("submit", "failing:quick"), a.run("submit", "failing:quick", "--job-id", "fresh"),
        a.run("run", "failing:quick"), a.run("import", str(tmp_path / "theirs.json")),
        b.run("submit", "failing:quick", "--host", "a"), b.run("migrate", "theirs", "--to", "a"),
    ):
        assert refused.returncode == 4, refused.stderr
        assert "host 'a' is cordoned" in refused.stderr
        assert "sojourn uncordon" in refused.stderr
    assert b.show("theirs")["status"] == "running"
    assert a.submit("failing:crossing", "own") == "own", "the same job again is no new one"
    assert a.wait("own")["status"] == "completed"
    assert [job["job_id"] for job in json.loads(a.do("jobs", "-o", "json"))] == ["own"]


def test_it_lasts_over_restarts_until_it_is_lifted_and_everybody_is_told(
    pair: tuple[Host, Host]
) -> None:
    a, b = pair
    b.submit("failing:endless", "theirs")
    assert said_of(b, "a") is False
    a.do("cordon")
    a.do("cordon")
    wait_until(lambda: said_of(b, "a"), 10.0, "b to be told")
    assert "connected, cordoned" in b.do("peers")
    assert "host a is cordoned" in a.do("jobs")
    assert a.ask(Status())["cordoned"] is True
    a.kill()
    wait_until(lambda: said_of(b, "a") is None, 20.0, "b to notice that a is gone")
    a.up()
    wait_until(lambda: said_of(b, "a"), 20.0, "b to be told again")
    assert a.run("submit", "failing:quick").returncode == 4
    assert a.do("uncordon") == "a uncordoned"
    wait_until(lambda: said_of(b, "a") is False, 10.0, "b to be told that it is over")
    assert "cordoned" not in a.do("jobs")
    b.do("migrate", "theirs", "--to", "a")
    a.terminate()
    a.up()
    assert a.show("theirs")["status"] == "running"
    assert a.run("submit", "failing:quick").returncode == 0


def half_way(make_host: MakeHost, point: str) -> tuple[Host, Host, Future[Handoff]]:
    """Cordon the target of a hand-off whose source stands still at a moment; then let it go on."""
    a, b = make_host("a").up(**stopping_at(point)), make_host("b").up()
    pair_hosts(a, b)
    warm_up(b, "failing:endless")
    a.submit("failing:endless", "job")
    a.wait("job", "failing.retry_count >= 1")
    move = begin_move(a, "job", b)
    wait_stopped(a)
    b.do("cordon")
    go_on(a)
    return a, b, move


def test_what_is_arriving_is_refused_and_goes_on_at_its_source(make_host: MakeHost) -> None:
    a, b, move = half_way(make_host, "source.before-send-offer")
    error = move.exception(30.0)
    assert error is not None
    assert "host 'b' is cordoned" in str(error)
    assert wait_for_owner((a, b), "job") is a
    assert a.show("job")["epoch"] == 1


def test_what_it_has_promised_to_take_comes_all_the_same(make_host: MakeHost) -> None:
    a, b, move = half_way(make_host, "source.before-write-released")
    assert move.result(30.0).target == "b"
    assert the_owner((a, b), "job") is b
