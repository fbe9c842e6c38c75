"""Drains: everything leaves a host, whatever state it is in and whoever dies meanwhile, each job once."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from pathlib import Path

from sojourn.runtime.wire.client import Status
from tests.integration.conftest import MakeHost
from tests.integration.hosting import (
    FLOWS,
    Host,
    Json,
    connected,
    pair_hosts,
    read_effects,
)
from tests.integration.judging import judge, the_owner, wait_for_owner
from tests.integration.killing import KINDS
from tests.integration.moving import dying_at, warm_up
from tests.integration.test_several_jobs import started
from tests.waiting import wait_until


def entries_of(said: str) -> dict[str, Json]:
    """Read a drain's document: job → what came of it."""
    return {entry["job_id"]: entry for entry in json.loads(said)["jobs"]}


def where(entries: dict[str, Json]) -> dict[str, tuple[str, str | None]]:
    """Give (outcome, host) of each job."""
    return {job: (entry["outcome"], entry["host"]) for job, entry in entries.items()}


def moving_now(host: Host) -> set[str]:
    """Name the jobs whose hand-offs are under way at a host."""
    return {entry["job_id"] for entry in host.ask(Status())["handoffs"]}


def check_owner(hosts: Iterable[Host], owner: Host, jobs: Iterable[str]) -> None:
    """See that one host owns jobs, and no other."""
    known = list(hosts)
    for job in jobs:
        assert the_owner(known, job) is owner, job


def test_every_unfinished_job_leaves_in_the_state_that_it_is_in(
    make_host: MakeHost, tmp_path: Path
) -> None:
    """One each: waiting in its backoff, paused, asking, blocked, amid a turn; finished ones stay."""
    own = tmp_path / "own"
    own.mkdir()
    for file in FLOWS.glob("*.py"):
        (own / file.name).write_text(file.read_text())
    a, b = make_host("a", paths=[own]).up("--grace", "0.2"), make_host("b").up()
    pair_hosts(a, b)
    a.submit("ticking:flow", "blocked", left=100_000, pause=0.5)
    a.wait("blocked", "ticker.succeeded >= 1")
    started(a, "backoff", "paused")
    a.do("pause", "paused")
    a.submit("points:asking", "asking")
    a.wait("asking", "status == 'paused'")
    a.submit("failing:healing", "completed")
    a.wait("completed")
    a.submit("failing:quick", "failed")
    a.wait("failed")
    a.terminate()
    (own / "ticking.py").write_text("this is no Python\n")
    a.up("--grace", "0.2")
    a.wait("blocked", "status == 'blocked'")
    flag = tmp_path / "flag"
    a.submit("load:held", "turning", flag=str(flag))
    wait_until(lambda: any(e.what == "held" for e in read_effects(a.effects)), 20.0, "the turn to begin")
    wait_until(lambda: connected(a), 20.0, "a to see b")

    done = a.run("drain", "-o", "json")
    assert done.returncode == 0, done.stderr + a.log_tail()
    jobs = ("blocked", "backoff", "paused", "asking", "turning")
    assert where(entries_of(done.stdout)) == dict.fromkeys(jobs, ("moved", "b"))
    check_owner((a, b), b, jobs)
    assert b.show("paused")["status"] == "paused"
    assert b.show("backoff")["pending"][0]["due_in"] > 3000
    assert a.show("completed")["status"] == "completed"
    assert a.show("failed")["status"] == "failed"
    flag.touch()
    assert b.wait("turning")["status"] == "completed"
    b.do("resume", "asking", "--input", '{"approved": true}')
    assert b.wait("asking")["result"] == {"approved": True, "timed_out": False}
    if b.show("blocked")["status"] == "blocked":
        b.do("retry", "blocked")
    before = b.show("blocked")["routines"]["ticker"]["succeeded"]
    b.wait("blocked", f"ticker.succeeded > {before}")
    for job in ("blocked", "backoff", "paused"):
        b.do("cancel", job)
    again = a.run("drain")
    assert (again.returncode, len(again.stdout.splitlines())) == (0, 6), "it tells where each went, again"


def test_interrupted_it_goes_on_and_is_followed_again(pair: tuple[Host, Host], tmp_path: Path) -> None:
    a, b = pair
    warm_up(b, "load:held", flag=str(tmp_path))
    flag = tmp_path / "flag"
    started(a, "quick")
    a.submit("load:held", "job", flag=str(flag))
    wait_until(lambda: any(e.host == "a" and e.what == "held" for e in read_effects(a.effects)), 20.0)
    drain = a.start("drain", "--grace", "100")
    wait_until(lambda: a.show("job")["status"] == "moving", 20.0, "the job to be frozen")
    wait_until(lambda: the_owner((a, b), "quick") is b, 20.0, "the other job to have moved")
    drain.send_signal(signal.SIGINT)
    said, complaint = drain.communicate(timeout=20)
    assert (drain.returncode, said) == (130, "")
    assert "the drain of host 'a' goes on" in complaint
    assert "under way: job" in complaint
    assert a.show("job")["status"] == "moving"
    again = a.start("drain", "-o", "json")
    flag.touch()
    said, complaint = again.communicate(timeout=60)
    assert again.returncode == 0, complaint
    assert where(entries_of(said)) == {"quick": ("moved", "b"), "job": ("moved", "b")}
    assert wait_for_owner((a, b), "job") is b


def test_a_source_that_is_killed_meanwhile_is_drained_by_asking_again(make_host: MakeHost) -> None:
    a, b = make_host("a").up(**dying_at("source.after-write-released")), make_host("b").up()
    pair_hosts(a, b)
    kinds = dict(zip(("one", "two", "three", "four"), KINDS, strict=True))
    for job, kind in kinds.items():
        a.submit(kind.flow, job, n=kind.n)
        a.wait(job, "history >= 5")
    drain = a.run("drain", "--to", "b")
    assert drain.returncode == 5, drain.stderr
    a.died()
    a.up()
    assert a.run("submit", "failing:quick").returncode == 4, "it is cordoned still"
    done = a.run("drain", "--to", "b", "-o", "json", timeout=100)
    assert done.returncode == 0, done.stderr + done.stdout
    assert {entry["outcome"] for entry in entries_of(done.stdout).values()} <= {"moved", "ended"}
    for job, kind in kinds.items():
        final = judge((a, b), job)
        assert final["result"]["shared"] == kind.shared


def test_a_target_that_dies_meanwhile_is_waited_for_while_it_holds_released_jobs(
    make_host: MakeHost,
) -> None:
    a, b = make_host("a").up(), make_host("b").up(**dying_at("target.before-write-owned"))
    pair_hosts(a, b)
    warm_up(b, "failing:endless")
    jobs = started(a, "one", "two", "three")
    drain = a.start("drain", "-o", "json")
    b.died()
    short = a.run("drain", "--deadline", "1", "-o", "json")
    assert short.returncode == 8, short.stderr
    doubts = {job for job, entry in entries_of(short.stdout).items() if entry["outcome"] == "in doubt"}
    assert doubts
    assert doubts == {job for job in jobs if a.show(job)["moved_to"] == "b"}
    said, _ = drain.communicate(timeout=20)
    assert drain.returncode == 8, "both follow the same drain, and the newest options hold"
    assert entries_of(said) == entries_of(short.stdout)
    for job in set(jobs) - doubts:
        assert a.show(job)["status"] == "running", "its hand-off was aborted at the deadline"

    longer = a.start("drain", "--to", "b", "-o", "json")
    wait_until(
        lambda: sum(entry["event"] == "drain" for entry in a.log()) >= 3, 20.0, "the drain to begin"
    )
    assert longer.poll() is None, "it doesn't end while a released job is unacknowledged"
    b.up()
    said, complaint = longer.communicate(timeout=60)
    assert longer.returncode == 0, complaint + said
    assert where(entries_of(said)) == dict.fromkeys(jobs, ("moved", "b"))
    check_owner((a, b), b, jobs)


def test_a_target_that_is_cordoned_is_left_out_and_named_where_it_is_the_only_one(
    make_host: MakeHost,
) -> None:
    a, b, c = make_host("a").up(), make_host("b").up(), make_host("c").up()
    pair_hosts(a, b)
    pair_hosts(a, c)
    jobs = started(a, "one", "two")
    c.do("cordon")
    done = a.run("drain", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert where(entries_of(done.stdout)) == dict.fromkeys(jobs, ("moved", "b"))
    b.do("cordon")
    a.do("uncordon")
    started(a, "three")
    for options in ((), ("--to", "c")):
        refused = a.run("drain", *options)
        assert refused.returncode == 7
        assert "stays" in refused.stdout
        assert "host 'c' is cordoned" in refused.stdout
        assert "sojourn uncordon" in refused.stdout
    assert a.show("three")["status"] == "running"
    assert a.run("submit", "failing:quick").returncode == 4, "it is cordoned all the same"


def test_jobs_are_spread_over_the_hosts_that_can_run_them(make_host: MakeHost, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    a, b, c, d = make_host("a"), make_host("b"), make_host("c"), make_host("d", paths=[empty])
    for host in (a, b, c, d):
        host.launch()
    for other in (b, c, d):
        pair_hosts(a.ready(), other.ready())
    jobs = started(a, *(f"job-{number}" for number in range(6)))
    done = a.run("drain", "-o", "json")
    assert done.returncode == 0, done.stderr
    hosts = [host for _, host in where(entries_of(done.stdout)).values()]
    assert sorted(set(hosts) - {None}, key=str) == ["b", "c"]
    assert min(hosts.count("b"), hosts.count("c")) >= 2
    for job, (_, name) in where(entries_of(done.stdout)).items():
        check_owner((a, b, c, d), b if name == "b" else c, [job])
    assert len(hosts) == len(jobs)
    a.do("uncordon")
    started(a, "left")
    stays = a.run("drain", "--to", "d", "-o", "json")
    assert stays.returncode == 7, stays.stderr
    (entry,) = entries_of(stays.stdout).values()
    assert (entry["host"], entry["error"]) == ("a", "HandoffAborted")
    assert a.show("left")["status"] == "running"


def test_two_hosts_that_drain_towards_each_other_leave_each_job_on_one_of_them(
    pair: tuple[Host, Host]
) -> None:
    a, b = pair
    jobs = [*started(a, "a-1", "a-2", "a-3"), *started(b, "b-1", "b-2", "b-3")]
    drains = [a.start("drain", "--to", "b", "-o", "json"), b.start("drain", "--to", "a", "-o", "json")]
    told: dict[str, Json] = {}
    for drain in drains:
        said, complaint = drain.communicate(timeout=60)
        assert drain.returncode in (0, 7), complaint
        told |= {job: entry for job, entry in entries_of(said).items() if entry["outcome"] == "stays"}
    assert all(host.ask(Status())["cordoned"] for host in (a, b))
    for job in jobs:
        owner = wait_for_owner((a, b), job)
        assert owner.show(job)["epoch"] <= 2, "it went back and forth"
    for job, entry in told.items():
        assert entry["host"] == wait_for_owner((a, b), job).name


def test_a_drain_under_load_and_back_again_keeps_every_promise(pair: tuple[Host, Host]) -> None:
    a, b = pair
    kinds = {f"{kind.flow.partition(':')[2]}-{n}": kind for kind in KINDS for n in (1, 2)}
    for job, kind in kinds.items():
        a.submit(kind.flow, job, n=kind.n)
    for job in kinds:
        a.wait(job, "history >= 3")
    there = a.run("drain", "--to", "b", "--grace", "0.3", timeout=100)
    assert there.returncode == 0, there.stderr + there.stdout
    a.do("uncordon")
    back = b.run("drain", "--grace", "0", "-o", "json", timeout=100)
    assert back.returncode == 0, back.stderr + back.stdout
    moved = [job for job, entry in entries_of(back.stdout).items() if entry["outcome"] == "moved"]
    assert moved, "all had ended before they could move back"
    for job, kind in kinds.items():
        final = judge((a, b), job)
        got = final["result"]["got"]
        assert (got if kind.in_order else sorted(got)) == list(range(kind.n))
        assert final["result"]["shared"] == kind.shared


def test_uncordon_ends_a_drain_that_waits_for_its_target(pair: tuple[Host, Host]) -> None:
    a, b = pair
    started(a, "job")
    b.terminate()
    drain = a.start("drain", "--to", "b", "-o", "json")
    wait_until(lambda: a.ask(Status())["cordoned"], 10.0, "the drain to begin")
    a.do("uncordon")
    said, complaint = drain.communicate(timeout=10)
    assert drain.returncode == 7, complaint
    (entry,) = entries_of(said).values()
    assert (entry["outcome"], entry["host"]) == ("stays", "a")
    assert "ended by `sojourn uncordon`" in entry["reason"]
    assert a.show("job")["status"] == "running"
    assert a.run("submit", "failing:quick").returncode == 0


def test_a_drain_that_can_not_be_meant_changes_nothing(host: Host) -> None:
    for to, code in (("a", 2), ("nonesuch", 3)):
        assert host.run("drain", "--to", to).returncode == code
    assert host.ask(Status())["cordoned"] is False
    started(host, "job")
    alone = host.run("drain")
    assert alone.returncode == 7
    assert "paired with no host" in alone.stdout


def test_a_move_that_only_waited_for_its_code_at_the_deadline_begins_no_more(
    make_host: MakeHost, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "effects.py").write_text((FLOWS / "effects.py").read_text())
    (own / "slowly.py").write_text(
        (FLOWS / "failing.py").read_text() + "\ntime.sleep(3.0)  # takes its time to import\n"
    )
    a, b = make_host("a", paths=[own]).up(), make_host("b", paths=[own]).up()
    pair_hosts(a, b)
    a.submit("slowly:endless", "job")
    a.wait("job", "failing.retry_count >= 1")
    a.terminate()
    a.up()
    done = a.run("drain", "--deadline", "0.3", "-o", "json")
    assert done.returncode == 7, done.stderr
    (entry,) = entries_of(done.stdout).values()
    assert (entry["outcome"], entry["host"]) == ("stays", "a")
    assert "deadline" in entry["reason"]
    a.do("uncordon")
    a.submit("slowly:endless", "later")
    a.wait("later", "failing.retry_count >= 1")
    assert moving_now(a) == set()
    assert (a.show("job")["status"], a.show("job")["epoch"]) == ("running", 1)
