"""Jobs that are copied while they run: only what changed moves while they are frozen."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from sojourn import HandoffAborted
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, check_effects, connected, pair_hosts, read_effects
from tests.waiting import wait_until

MEGABYTE = 1024 * 1024
TICKS = 100_000
"""More than any test waits for: the jobs are cancelled."""


def start_large(host: Host, job: str, *, megabytes: int, rewrite: bool = False) -> None:
    """Start a job of some megabytes that ticks on, and wait until it has them."""
    host.submit("ticking:flow", job, left=TICKS, megabytes=megabytes, rewrite=rewrite)
    host.wait(job, "ticker.succeeded >= 2")


def ticks(host: Host, job: str) -> int:
    """How many turns of the job a host has recorded."""
    return int(host.show(job)["routines"]["ticker"]["succeeded"])


def partial_bytes(host: Host) -> int:
    """How much of blobs that aren't whole has arrived at a host."""
    return sum(path.stat().st_size for path in (host.home / "blobs").glob(".part-*"))


def test_a_large_job_ticks_on_while_it_is_copied(pair: tuple[Host, Host], effects: Path) -> None:
    a, b = pair
    start_large(a, "job", megabytes=100)
    moved = a.migrate("job", b)
    assert moved.bytes > 100 * MEGABYTE
    assert moved.phases_ms is not None
    assert moved.downtime_ms is not None
    assert moved.downtime_ms < moved.phases_ms["precopy"]
    begins = next(entry["timestamp"] for entry in a.log() if entry["event"] == "hand-off begins")
    document = b.show("job", history=10_000)
    meanwhile = [
        entry for entry in document["history"] if entry["host"] == "a" and entry["started_at"] > begins
    ]
    assert len(meanwhile) > 3, "the job stood still while it was copied"
    b.do("cancel", "job")
    final = b.show("job", history=10_000)
    done = [entry["message"] for entry in final["history"] if entry["outcome"] == "succeeded"]
    assert done == sorted(set(done))
    assert final["routines"]["ticker"]["state"]["ticks"] == len(done)
    check_effects(read_effects(effects), final)


def test_a_blob_travels_once(pair: tuple[Host, Host]) -> None:
    a, b = pair
    start_large(a, "job", megabytes=20)
    there = a.migrate("job", b)
    back = b.migrate("job", a)
    assert there.bytes > 20 * MEGABYTE
    assert back.bytes < MEGABYTE, "what the first host still had was sent again"
    a.wait("job", f"ticker.succeeded >= {ticks(a, 'job') + 3}")


def test_an_interrupted_transfer_goes_on_where_it_stopped(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    pair_hosts(a, b)
    start_large(a, "job", megabytes=8)
    held = list((a.home / "blobs").iterdir())
    b.kill()
    # What an interrupted transfer leaves: a few blobs that are whole, and one that is half there.
    for path in held[:5]:
        (b.home / "blobs" / path.name).write_bytes(path.read_bytes())
    half = held[5].read_bytes()[: MEGABYTE // 2]
    (b.home / "blobs" / f".part-{held[5].name}").write_bytes(half)
    b.up()
    wait_until(lambda: connected(a), 15.0, "a to see b again")
    moved = a.migrate("job", b)
    assert 2 * MEGABYTE < moved.bytes < 3 * MEGABYTE
    b.wait("job", f"ticker.succeeded >= {ticks(b, 'job') + 3}")


def test_a_target_that_dies_while_it_is_sent_to_leaves_the_job_running(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    pair_hosts(a, b)
    start_large(a, "job", megabytes=150)
    mover = a.start("migrate", "job", "--to", "b")
    wait_until(lambda: partial_bytes(b) > 0, 30.0, "something to arrive at b")
    b.kill()
    before = ticks(a, "job")
    a.wait("job", f"ticker.succeeded >= {before + 5}")
    b.up()
    _, complaint = mover.communicate(timeout=60.0)
    assert mover.returncode == 7, complaint
    moved = a.migrate("job", b)
    assert moved.bytes < 150 * MEGABYTE, "what had arrived before was sent again"
    assert b.show("job")["epoch"] == 2


def test_a_job_that_changes_too_fast_for_its_bound_stays(pair: tuple[Host, Host]) -> None:
    a, b = pair
    start_large(a, "job", megabytes=12, rewrite=True)
    with a.client() as client, pytest.raises(HandoffAborted, match="doesn't converge"):
        client.migrate("job", b.name, max_downtime_ms=4)
    document = a.show("job")
    assert (document["status"], document["epoch"]) == ("running", 1)
    a.wait("job", f"ticker.succeeded >= {ticks(a, 'job') + 2}")


def test_a_receiver_that_hangs_holds_nothing_up_and_costs_no_memory(pair: tuple[Host, Host]) -> None:
    a, b = pair
    start_large(a, "job", megabytes=150)
    a.submit("ticking:flow", "other", left=TICKS)
    a.wait("other", "ticker.succeeded >= 2")
    supervisor = psutil.Process(a.pid)
    mover = a.start("migrate", "job", "--to", "b")
    wait_until(lambda: partial_bytes(b) > 0, 30.0, "something to arrive at b")
    os.kill(b.pid, signal.SIGSTOP)
    try:
        before = supervisor.memory_info().rss
        for job in ("job", "other"):
            a.wait(job, f"ticker.succeeded >= {ticks(a, job) + 100}")
        assert supervisor.memory_info().rss - before < 64 * MEGABYTE
    finally:
        os.kill(b.pid, signal.SIGCONT)
    _, complaint = mover.communicate(timeout=60.0)
    assert mover.returncode == 0, complaint
    b.wait("job", f"ticker.succeeded >= {ticks(b, 'job') + 3}")
