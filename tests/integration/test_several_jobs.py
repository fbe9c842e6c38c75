"""Moves of several jobs in one command: side by side, all of a host's, and back to where they came from."""

from __future__ import annotations

import json

import pytest

from sojourn import HandoffAborted, NotFound, Refused
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, Json, pair_hosts
from tests.integration.judging import the_owner, wait_for_owner
from tests.integration.moving import dying_at, warm_up


def started(host: Host, *jobs: str) -> tuple[str, ...]:
    """Start jobs that wait for their second attempt as good as for ever."""
    for job in jobs:
        host.submit("failing:endless", job)
        host.wait(job, "failing.retry_count >= 1")
    return jobs


def entries_of(done: str) -> dict[str, Json]:
    """Read what a command told machines of each job."""
    return {entry["job_id"]: entry for entry in json.loads(done)}


def test_one_that_can_not_move_stops_no_other_and_each_is_told_with_where_it_is(
    pair: tuple[Host, Host]
) -> None:
    a, b = pair
    started(a, "one", "two")
    a.submit("failing:healing", "done")
    a.wait("done")
    done = a.run("migrate", "one", "done", "nonesuch", "two", "one", "--to", "b", "-o", "json")
    assert done.returncode == 7, done.stderr
    told = entries_of(done.stdout)
    assert {job: (entry["outcome"], entry["host"], entry["error"]) for job, entry in told.items()} == {
        "one": ("moved", "b", None), "two": ("moved", "b", None), "done": ("stays", "a", "Refused"),
        "nonesuch": ("stays", None, "NotFound"),
    }
    assert "there is nothing to move" in told["done"]["reason"]
    assert told["one"]["downtime_ms"] > 0
    for job in ("one", "two"):
        assert the_owner((a, b), job) is b


def test_moves_that_were_done_are_not_lost_in_python_either(pair: tuple[Host, Host]) -> None:
    a, b = pair
    started(a, "one", "two")
    with a.client() as client:
        with pytest.raises(HandoffAborted, match="1 of 3 jobs did not move") as raised:
            client.migrate(["one", "nonesuch", "two"], "b")
        assert [(moved.job_id, moved.target) for moved in raised.value.handoffs] == [
            ("one", "b"), ("two", "b")
        ]
        assert {job: type(error) for job, error in raised.value.errors.items()} == {"nonesuch": NotFound}
        again = client.migrate(["one", "two"], "b")
        assert [(moved.job_id, moved.epoch) for moved in again] == [("one", 2), ("two", 2)], "they are"
    assert the_owner((a, b), "two") is b


def test_one_in_doubt_ends_it_with_8_and_names_it(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up(**dying_at("target.before-write-owned"))
    pair_hosts(a, b)
    warm_up(b, "failing:endless")
    started(a, "one", "two", "three")
    done = a.run("migrate", "one", "two", "nonesuch", "--to", "b", "-o", "json", timeout=120)
    b.died()
    assert done.returncode == 8, done.stderr
    told = entries_of(done.stdout)
    doubts = [job for job, entry in told.items() if entry["outcome"] == "in doubt"]
    assert doubts
    assert told["nonesuch"]["outcome"] == "stays"
    for job in doubts:
        assert (told[job]["host"], told[job]["to"]) == (None, "b")
        assert f"sojourn handoff resolve {job}" in told[job]["reason"]
        assert a.show(job)["status"] == "moving"
    b.up()
    for job in doubts:
        assert wait_for_owner((a, b), job) is b


def test_all_moves_what_is_unfinished_and_leaves_the_rest(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("failing:healing", "done")
    a.wait("done")
    with a.client() as client:
        jobs = client.submit_many("failing:endless", [{"n": number} for number in range(100)])
    done = a.run("migrate", "--all", "--to", "b", "-o", "json", timeout=120)
    assert done.returncode == 0, done.stderr
    assert list(entries_of(done.stdout)) == jobs, "more than are under way at once"
    shown = {job["job_id"]: job["status"] for job in json.loads(b.do("jobs", "-o", "json"))}
    assert set(shown) == set(jobs)
    assert a.show("done")["status"] == "completed"
    nothing = a.run("migrate", "--all", "--to", "b")
    assert (nothing.returncode, nothing.stdout) == (0, "")


def test_a_host_that_is_not_paired_or_is_this_one_moves_nothing(pair: tuple[Host, Host]) -> None:
    a, _ = pair
    started(a, "one", "two")
    for to, code in (("nonesuch", 3), ("a", 2)):
        for what in (("one", "two"), ("--all",)):
            done = a.run("migrate", *what, "--to", to)
            assert (done.returncode, done.stdout) == (code, ""), done.stderr


def test_back_goes_to_where_each_came_from_asked_here_or_there(make_host: MakeHost) -> None:
    a, b, c = make_host("a").up(), make_host("b").up(), make_host("c").up()
    for one, other in ((a, b), (a, c), (b, c)):
        pair_hosts(one, other)
    started(a, "from-a")
    started(c, "from-c")
    a.migrate("from-a", b)
    c.migrate("from-c", b)
    done = b.run("migrate", "--back", "from-a", "from-c", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert {job: entry["host"] for job, entry in entries_of(done.stdout).items()} == {
        "from-a": "a", "from-c": "c"
    }
    a.migrate("from-a", b)
    assert "from b to a" in a.do("migrate", "from-a", "--back"), "asked at the host that it had left"
    assert a.show("from-a")["epoch"] == 5
    assert the_owner((a, b, c), "from-a") is a
    assert the_owner((a, b, c), "from-c") is c


def test_back_is_refused_for_a_job_that_never_moved(pair: tuple[Host, Host]) -> None:
    a, _ = pair
    started(a, "one")
    refused = a.run("migrate", "one", "--back")
    assert refused.returncode == 4
    assert "job one never moved to host 'a'" in refused.stderr
    assert "sojourn migrate one --to HOST" in refused.stderr
    with a.client() as client, pytest.raises(Refused, match="never moved"):
        client.migrate_back("one")
    assert a.show("one")["status"] == "running"


def test_a_dry_run_of_all_jobs_and_of_the_way_back_moves_nothing(pair: tuple[Host, Host]) -> None:
    a, b = pair
    started(a, "one", "two")
    a.submit("failing:healing", "done")
    a.wait("done")
    found = json.loads(a.do("migrate", "--all", "--to", "b", "--dry-run", "-o", "json"))
    assert {(one["job_id"], one["from"], one["to"], one["would_move"]) for one in found} == {
        ("one", "a", "b", True), ("two", "a", "b", True),
    }
    assert the_owner((a, b), "one") is the_owner((a, b), "two") is a
    a.migrate("one", b)
    (back,) = json.loads(b.do("migrate", "one", "--back", "--dry-run", "-o", "json"))
    assert (back["from"], back["to"], back["would_move"]) == ("b", "a", True)
    never = a.run("migrate", "two", "--back", "--dry-run")
    assert never.returncode == 4, never.stderr
    assert "two" in never.stderr
    assert the_owner((a, b), "one") is b
