"""A hand-off while supervisors are killed with -9 at each of its named crash points.

Each point three times: who gets there dies; it stands still there while the other one dies; both die.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sojourn import HandoffInDoubt
from sojourn.runtime.handoff.crash_points import ALL
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, attempts, check_effects, pair_hosts, read_effects
from tests.integration.judging import wait_for_owner
from tests.integration.moving import begin_move, dying_at, go_on, stopping_at, wait_stopped, warm_up

RARE = ("abort", "aborted", "refused", "query", "dropped", "unknown")
"""Points that a hand-off reaches only where something went wrong before."""

FILE = ("source.before-write-file", "source.after-write-file")
"""Points of a release into a file: see ``test_exports.py``."""

DIRECT = [point for point in ALL if not point.endswith(RARE) and point not in FILE]
WRITES = [point for point in DIRECT if "-write-" in point]


def victim_of(point: str) -> str:
    """Give the host that gets to a point: ``a`` gives the job, ``b`` takes it."""
    return "a" if point.startswith("source.") else "b"


def start(make_host: MakeHost, **environments: dict[str, str]) -> dict[str, Host]:
    """Start and pair both hosts, each with its part of the environment."""
    hosts = {name: make_host(name) for name in ("a", "b")}
    for name, host in hosts.items():
        host.launch(**environments.get(name, {}))
    pair_hosts(hosts["a"].ready(), hosts["b"].ready())
    warm_up(hosts["b"], "failing:crossing")
    hosts["a"].submit("failing:crossing", "job")
    hosts["a"].wait("job", "failing.retry_count >= 3")
    return hosts


@pytest.mark.parametrize("point", DIRECT)
def test_a_death_at_a_crash_point_leaves_one_owner_and_exact_attempts(
    make_host: MakeHost, effects: Path, point: str
) -> None:
    victim = victim_of(point)
    hosts = start(make_host, **{victim: dying_at(point)})
    move = begin_move(hosts["a"], "job", hosts["b"])
    hosts[victim].died()
    hosts[victim].up()
    move.exception(60)
    check_the_end(hosts, effects)


@pytest.mark.parametrize("point", DIRECT)
def test_a_death_of_the_other_host_at_a_crash_point_leaves_one_owner_and_exact_attempts(
    make_host: MakeHost, effects: Path, point: str
) -> None:
    there = victim_of(point)
    victim = "b" if there == "a" else "a"
    hosts = start(make_host, **{there: stopping_at(point)})
    move = begin_move(hosts["a"], "job", hosts["b"])
    wait_stopped(hosts[there])
    hosts[victim].kill()
    go_on(hosts[there])
    hosts[victim].up()
    move.exception(60)
    check_the_end(hosts, effects)


@pytest.mark.parametrize("point", WRITES)
def test_a_death_of_both_hosts_at_a_write_leaves_one_owner_and_exact_attempts(
    make_host: MakeHost, effects: Path, point: str
) -> None:
    there = victim_of(point)
    hosts = start(make_host, **{there: stopping_at(point)})
    move = begin_move(hosts["a"], "job", hosts["b"])
    wait_stopped(hosts[there])
    for host in hosts.values():
        host.kill()
    for host in hosts.values():
        host.launch()
    for host in hosts.values():
        host.ready()
    move.exception(60)
    check_the_end(hosts, effects)


RARE_CASES = {
    "target.before-send-query": ("b", "target.after-write-prepared"),
    "target.after-send-query": ("b", "target.after-write-prepared"),
    "source.before-send-abort": ("b", "target.before-write-prepared"),
    "source.after-send-abort": ("b", "target.before-write-prepared"),
    "target.before-send-refused": ("b", "target.before-write-prepared"),
    "target.after-send-refused": ("b", "target.before-write-prepared"),
    "target.before-write-dropped": ("b", "target.after-write-staging"),
    "target.after-write-dropped": ("b", "target.after-write-staging"),
}
"""Point → the host that dies first, and where, so that the point is reached at all."""


@pytest.mark.parametrize("point", RARE_CASES)
def test_a_second_death_in_the_recovery_changes_nothing(
    make_host: MakeHost, effects: Path, point: str
) -> None:
    first_victim, first_point = RARE_CASES[point]
    victim = victim_of(point)
    hosts = start(make_host, **{victim: dying_at(point), first_victim: dying_at(first_point)})
    move = begin_move(hosts["a"], "job", hosts["b"])
    hosts[first_victim].died()
    if victim == first_victim:
        start_to_die(hosts[victim], point)
    else:
        hosts[first_victim].up()
        hosts[victim].died()
    hosts[victim].up()
    move.exception(60)
    check_the_end(hosts, effects)


def test_every_named_point_is_in_one_of_these_tests() -> None:
    elsewhere = [point for point in ALL if point.endswith(("unknown", "aborted"))]
    assert {*DIRECT, *RARE_CASES, *FILE, *elsewhere} == set(ALL)


@pytest.mark.parametrize("point", ["source.before-write-aborted", "source.after-write-aborted"])
def test_a_death_at_an_abort_before_the_offer_leaves_the_job_at_its_source(
    make_host: MakeHost, effects: Path, point: str
) -> None:
    hosts = start(make_host, a=dying_at(point), b=stopping_at("target.before-send-ready"))
    a, b = hosts["a"], hosts["b"]
    move = begin_move(a, "job", b)
    wait_stopped(b)
    cancel = a.start("cancel", "job")
    a.died()
    go_on(b)
    a.up()
    move.exception(60)
    cancel.communicate(timeout=60)
    final = a.wait("job")
    assert (final["status"] in ("cancelled", "completed"), final["epoch"]) == (True, 1)
    done = [effect for effect in read_effects(effects) if effect.turn.startswith(final["instance"])]
    check_effects(done, final)
    assert {effect.host for effect in done} == {"a"}
    assert b.run("show", "job").returncode == 3


@pytest.mark.parametrize("point", ["target.before-send-unknown", "target.after-send-unknown"])
def test_a_target_that_knows_nothing_of_a_released_job_leaves_it_in_doubt(
    make_host: MakeHost, effects: Path, point: str
) -> None:
    hosts = start(make_host, b=dying_at("target.before-write-owned"))
    a, b = hosts["a"], hosts["b"]
    move = begin_move(a, "job", b)
    b.died()
    with closing(sqlite3.connect(b.home / "store.db")) as store:
        store.execute("DELETE FROM handoffs")
        store.commit()
    start_to_die(b, point)
    b.up()
    assert isinstance(move.exception(60), HandoffInDoubt)
    a.kill()
    a.up()
    assert a.show("job")["status"] == "moving", "a released job is never reclaimed by itself"
    assert b.run("show", "job").returncode == 3
    assert 4 not in [effect.attempt for effect in read_effects(effects)], "two hosts could run it"


def start_to_die(host: Host, point: str) -> None:
    """Start a host that dies again at a point of its recovery."""
    try:
        host.up(**dying_at(point))
    except AssertionError:
        return  # it died before it was even ready
    host.died()


def check_the_end(hosts: dict[str, Host], effects: Path) -> None:
    """One owner, which finishes the job with exact attempts."""
    owner = wait_for_owner(hosts.values(), "job")
    final = owner.wait("job")
    assert (final["status"], final["epoch"]) == ("completed", 1 if owner is hosts["a"] else 2)
    assert [
        (attempt, outcome) for _, attempt, outcome, _ in attempts(final, "failing")
        if outcome != "interrupted"
    ] == [(1, "failed"), (2, "failed"), (3, "failed"), (4, "succeeded")]
    done = [e for e in read_effects(effects) if e.turn.startswith(final["instance"])]
    check_effects(done, final)
    assert {effect.key for effect in done if effect.what == "failing"} == {
        (f"{final['instance']}:2", attempt) for attempt in (1, 2, 3, 4)
    }
    assert {effect.key for effect in done if effect.what == "after"} == {(f"{final['instance']}:3", 1)}
