"""A hand-off while either supervisor is killed at each of its named crash points (point 10)."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

from sojourn.runtime.errors import SojournError
from sojourn.runtime.handoff.crash_points import ALL
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, check_effects, pair_hosts, read_effects
from tests.waiting import wait_until

RARE = ("abort", "refused", "query", "dropped")
"""Points that a hand-off reaches only where something went wrong before."""

DIRECT = [point for point in ALL if not point.endswith(RARE)]


@pytest.mark.parametrize("point", DIRECT)
def test_a_death_at_a_crash_point_leaves_one_owner_and_exact_attempts(
    make_host: MakeHost, effects: Path, point: str
) -> None:
    victim = "a" if point.startswith("source.") else "b"
    hosts = {name: make_host(name) for name in ("a", "b")}
    for name, host in hosts.items():
        host.up(**({"SOJOURN_CRASH_POINT": point} if name == victim else {}))
    run_to_the_end(hosts, hosts[victim], effects)


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
    victim = "a" if point.startswith("source.") else "b"
    hosts = {name: make_host(name) for name in ("a", "b")}
    for name, host in hosts.items():
        crash = first_point if name == first_victim else point if name == victim else ""
        host.up(**({"SOJOURN_CRASH_POINT": crash} if crash else {}))
    a, b = hosts["a"], hosts["b"]
    pair_hosts(a, b)
    mover = begin_to_move(a, b)
    hosts[first_victim].died()
    if victim == first_victim:
        start_to_die(hosts[victim], point)
    else:
        hosts[first_victim].up()
        hosts[victim].died()
    hosts[victim].up()
    mover.join(60)
    check_the_end(hosts, effects)


def begin_to_move(a: Host, b: Host) -> threading.Thread:
    """Start a job, and its move while it waits for its backoff; whoever asks may be left without an answer.

    Asked for in Python, since a command line that has to start first may come when the backoff is over.
    """
    with a.client() as client:
        client.submit("failing:healing_later", job_id="job")
        client.wait("job", until="failing.retry_count >= 1", timeout=60)

    def move() -> None:
        with contextlib.suppress(SojournError):
            a.migrate("job", b)

    mover = threading.Thread(target=move, daemon=True)
    mover.start()
    return mover


def start_to_die(host: Host, point: str) -> None:
    """Start a host that dies again at a point of its recovery."""
    try:
        host.up(SOJOURN_CRASH_POINT=point)
    except AssertionError:
        return  # it died before it was even ready
    host.died()


def run_to_the_end(hosts: dict[str, Host], victim: Host, effects: Path) -> None:
    """Move a failing job, let the victim die on the way, and see that all is well in the end."""
    a, b = hosts["a"], hosts["b"]
    pair_hosts(a, b)
    mover = begin_to_move(a, b)
    victim.died()
    victim.up()
    mover.join(60)
    check_the_end(hosts, effects)


def check_the_end(hosts: dict[str, Host], effects: Path) -> None:
    """One owner, which finishes the job with exact attempts."""
    owner = wait_until(lambda: the_owner(hosts), 60.0, "the job to be owned by one host")
    assert owner is not None
    final = owner.wait("job")
    assert final["status"] == "completed"
    assert [
        entry["attempt"]
        for entry in final["history"]
        if entry["routine"] == "failing" and entry["outcome"] != "interrupted"
    ] == [1, 2]
    done = read_effects(effects)
    check_effects(done, final)
    assert len([effect for effect in done if effect.what == "after"]) == 1
    assert len([effect for effect in done if effect.what == "start"]) == 1


def the_owner(hosts: dict[str, Host]) -> Host | None:
    """Give the one host that owns the job; None while it is on its way."""
    owners: list[Host] = []
    for host in hosts.values():
        try:
            shown = host.show("job")
        except SojournError:
            continue
        if shown["status"] == "moving":
            return None
        if shown["status"] != "moved":
            owners.append(host)
    assert len(owners) < 2, "two hosts own the job"
    return owners[0] if owners else None
