"""Queued messages over a move, parallel turns, budgets per message, jobs side by side (points 4 to 6)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tests.integration.hosting import Host, check_effects, read_effects


def test_two_hundred_queued_messages_move_in_the_middle(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    a.submit("queues:slow", "job", n=200)
    a.wait("job", "work.succeeded >= 60")
    a.migrate("job", b)
    final = b.wait("job")
    assert final["status"] == "completed"
    assert final["result"]["got"] == list(range(200))
    assert final["routines"]["work"]["state"]["seen"] == list(range(200))
    assert final["routines"]["work"]["succeeded"] == 200
    recorded = [e for e in final["history"] if e["routine"] == "work"]
    assert len({e["message"] for e in recorded if e["outcome"] == "succeeded"}) == 200
    assert {e["host"] for e in recorded} == {"a", "b"}
    check_effects(read_effects(effects), final)


def test_two_hundred_parallel_messages_move_in_the_middle(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    a.submit("queues:parallel", "job", n=200)
    a.wait("job", "work.succeeded >= 60")
    a.migrate("job", b)
    final = b.wait("job")
    assert final["status"] == "completed"
    assert sorted(final["result"]["got"]) == list(range(200))
    assert final["shared"] == {"done": 200}
    assert {e["host"] for e in final["history"] if e["routine"] == "work"} == {"a", "b"}
    check_effects(read_effects(effects), final)


def test_four_processes_are_faster_than_one(host: Host) -> None:
    seconds: dict[str, float] = {}
    for flow in ("parallel_single", "parallel_slow"):
        host.submit(f"queues:{flow}", flow, n=40)
        final = host.wait(flow)
        work = [e for e in final["history"] if e["routine"] == "work"]
        first = datetime.fromisoformat(min(e["started_at"] for e in work))
        last = datetime.fromisoformat(max(e["ended_at"] for e in work))
        seconds[flow] = (last - first).total_seconds()
    # A ratio, not a time: forty waits of 50 ms are 2 s one by one and 0.5 s four by four.
    assert seconds["parallel_slow"] < 0.6 * seconds["parallel_single"]


def test_budgets_belong_to_messages(host: Host) -> None:
    host.submit("queues:needy", "one", n=4)
    host.submit("queues:needy", "two", n=4)
    for job in ("one", "two"):
        final = host.wait(job)
        assert final["status"] == "completed"
        assert sorted(final["result"]["got"]) == [0, 1, 2, 3]
        needy = [e for e in final["history"] if e["routine"] == "work"]
        assert len(needy) == 12
        assert sum(e["outcome"] == "failed" for e in needy) == 8


def test_pausing_one_job_leaves_the_other_running(host: Host) -> None:
    for job in ("one", "two"):
        host.submit("queues:slow", job, n=150)
    host.wait("one", "work.succeeded >= 5")
    host.do("pause", "one")
    held = host.show("one")
    assert held["status"] == "paused"
    assert host.wait("two")["status"] == "completed"
    later = host.show("one")
    assert later["history_total"] == held["history_total"], "a paused job went on"
    host.do("resume", "one")
    assert host.wait("one")["result"]["got"] == list(range(150))


def test_a_job_that_fails_leaves_the_other_running(host: Host) -> None:
    host.submit("queues:moody", "bad", n=60, fatal=10)
    host.submit("queues:moody", "good", n=60)
    bad = host.wait("bad")
    assert (bad["status"], bad["error"]["type"]) == ("failed", "RuntimeError")
    assert [e["message"] for e in bad["history"] if e["outcome"] == "failed"] == [12]
    good = host.wait("good")
    assert (good["status"], good["result"]["succeeded"]) == ("completed", 121)


def test_moving_one_job_leaves_the_other_where_it_is(pair: tuple[Host, Host]) -> None:
    a, b = pair
    for job in ("goes", "stays"):
        a.submit("queues:slow", job, n=300)
    a.wait("goes", "work.succeeded >= 5")
    a.wait("stays", "work.succeeded >= 1")
    a.migrate("goes", b)
    assert a.wait("stays")["result"]["got"] == list(range(300))
    assert {e["host"] for e in a.show("stays")["history"]} == {"a"}
    assert b.wait("goes")["result"]["got"] == list(range(300))
