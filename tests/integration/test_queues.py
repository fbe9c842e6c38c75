"""Queued messages over a move, parallel turns, budgets per message, jobs side by side (points 4 to 6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.hosting import Host, Json, check_effects, read_effects, seconds_of
from tests.integration.moving import hold_a_turn, warm_up


def work_of(document: Json) -> list[Json]:
    return [entry for entry in document["history"] if entry["routine"] == "work"]


def test_two_hundred_queued_messages_move_in_the_middle_in_order(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    warm_up(b, "queues:slow")
    a.submit("queues:slow", "job", n=200)
    a.wait("job", "work.succeeded >= 60")
    a.migrate("job", b)
    final = b.wait("job")
    assert final["status"] == "completed"
    assert final["result"]["got"] == list(range(200))
    assert final["routines"]["work"]["state"]["seen"] == list(range(200))
    assert final["routines"]["work"]["succeeded"] == 200
    recorded = work_of(final)
    assert [e["message"] for e in recorded if e["outcome"] == "succeeded"] == list(range(2, 202))
    assert {e["host"] for e in recorded} == {"a", "b"}
    check_effects(read_effects(effects), final)


def test_two_hundred_parallel_messages_move_in_the_middle_in_any_order(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    warm_up(b, "queues:parallel")
    a.submit("queues:parallel", "job", n=200)
    a.wait("job", "work.succeeded >= 60")
    a.migrate("job", b)
    final = b.wait("job")
    assert final["status"] == "completed"
    assert sorted(final["result"]["got"]) == list(range(200))
    assert final["shared"] == {"done": 200}
    recorded = [e for e in work_of(final) if e["outcome"] == "succeeded"]
    assert len({e["message"] for e in recorded}) == len(recorded) == 200
    done = read_effects(effects)
    check_effects(done, final)
    for host in ("a", "b"):
        processes = {e.pid for e in done if e.host == host and e.what.startswith("parallel")}
        assert len(processes) == 4
        assert together([e for e in recorded if e["host"] == host]) > 2, f"one at a time on {host}"


def together(turns: list[Json]) -> float:
    """Give how many turns ran at once, on average."""
    starts = [seconds_of(turn["started_at"]) for turn in turns]
    ends = [seconds_of(turn["ended_at"]) for turn in turns]
    return (sum(ends) - sum(starts)) / (max(ends) - min(starts))


def test_four_processes_are_faster_than_one(host: Host) -> None:
    seconds: dict[str, float] = {}
    for flow in ("parallel_single", "parallel"):
        host.submit(f"queues:{flow}", flow, n=40)
        work = work_of(host.wait(flow))
        first = min(seconds_of(e["started_at"]) for e in work)
        seconds[flow] = max(seconds_of(e["ended_at"]) for e in work) - first
    # A ratio, not a time: forty waits of 50 ms are 2 s one by one and 0.5 s four by four.
    assert seconds["parallel"] < 0.6 * seconds["parallel_single"]


def test_four_messages_that_each_need_two_retries_succeed_with_a_budget_of_four(host: Host) -> None:
    host.submit("queues:needy", "job", n=4)
    final = host.wait("job")
    assert final["status"] == "completed"
    assert sorted(final["result"]["got"]) == [0, 1, 2, 3]
    outcomes: dict[int, list[tuple[int, str]]] = {}
    for entry in work_of(final):
        outcomes.setdefault(entry["message"], []).append((entry["attempt"], entry["outcome"]))
    assert list(outcomes.values()) == [[(1, "failed"), (2, "failed"), (3, "succeeded")]] * 4


def test_two_jobs_of_one_flow_share_nothing(host: Host, effects: Path) -> None:
    for job, n in (("one", 3), ("two", 4)):
        host.submit("queues:needy", job, n=n, job=job)
    for job, n in (("one", 3), ("two", 4)):
        final = host.wait(job)
        assert final["status"] == "completed"
        assert sorted(final["result"]["got"]) == list(range(n))
        assert final["routines"]["work"]["state"] == {"tries": n}
        assert final["shared"] == {job: n}
        assert sum(e["outcome"] == "failed" for e in work_of(final)) == 2 * n
        assert {e["message"] for e in work_of(final)} == set(range(2, n + 2))
    assert len({e.pid for e in read_effects(effects)}) == 1, "both in the same process"


@pytest.fixture
def side_by_side(pair: tuple[Host, Host], effects: Path) -> tuple[Host, Host]:
    """Two jobs with many messages in the same process of ``a``."""
    a, b = pair
    warm_up(b, "queues:slow")
    for job in ("one", "two"):
        a.submit("queues:slow", job, n=400)
    for job in ("one", "two"):
        a.wait(job, "work.succeeded >= 20")
    (process,) = {e.pid for e in read_effects(effects) if e.host == "a"}
    assert process in {other.pid for other in a.processes()}
    return a, b


def check_undisturbed(host: Host, job: str, effects: Path) -> None:
    """See that a job ended as if it had been alone, in the process in which it began."""
    final = host.wait(job)
    assert (final["status"], final["result"]["got"]) == ("completed", list(range(400)))
    assert {(e["attempt"], e["outcome"]) for e in final["history"]} == {(1, "succeeded")}
    assert len({e.pid for e in read_effects(effects) if e.turn.startswith(final["instance"])}) == 1


def succeeded(host: Host, job: str) -> int:
    return int(host.show(job)["routines"]["work"]["succeeded"])


def test_pausing_one_job_leaves_the_other_running(
    side_by_side: tuple[Host, Host], effects: Path
) -> None:
    a, _ = side_by_side
    a.do("pause", "one")
    held = a.show("one")
    assert held["status"] == "paused"
    a.wait("two", f"work.succeeded >= {succeeded(a, 'two') + 20}")
    check_undisturbed(a, "two", effects)
    later = a.show("one")
    assert later["history_total"] == held["history_total"] < 400, "a paused job went on"
    a.do("resume", "one")
    check_undisturbed(a, "one", effects)


def test_cancelling_one_job_leaves_the_other_running(
    side_by_side: tuple[Host, Host], effects: Path
) -> None:
    a, _ = side_by_side
    a.do("cancel", "one")
    cancelled = a.show("one")
    assert (cancelled["status"], cancelled["history_total"] < 400) == ("cancelled", True)
    check_undisturbed(a, "two", effects)
    assert a.show("one")["history_total"] == cancelled["history_total"]


def test_moving_one_job_leaves_the_other_running(
    side_by_side: tuple[Host, Host], effects: Path
) -> None:
    a, b = side_by_side
    a.migrate("one", b)
    a.wait("two", f"work.succeeded >= {succeeded(a, 'two') + 20}")
    check_undisturbed(a, "two", effects)
    final = b.wait("one")
    assert final["result"]["got"] == list(range(400))
    assert {e["host"] for e in work_of(final)} == {"a", "b"}


@pytest.mark.parametrize("verb", ["pause", "cancel", "move"])
def test_what_was_sent_ahead_is_taken_back_while_another_jobs_turn_runs_in_that_process(
    pair: tuple[Host, Host], effects: Path, tmp_path: Path, verb: str
) -> None:
    a, b = pair
    hold = tmp_path / "hold"
    warm_up(b, "crashing:waiting")
    a.submit("crashing:waiting", "job", n=8000)
    a.submit("crashing:waiting", "busy", n=8000, hold=str(hold))
    hold_a_turn(a, hold, effects, job=20)
    if verb == "move":
        a.migrate("job", b)
        assert b.wait("job")["routines"]["waiting"]["state"] == {"done": 8000}
    else:
        a.do(verb, "job")
        shown = a.show("job")
        assert shown["status"] == {"pause": "paused", "cancel": "cancelled"}[verb]
        assert shown["pending"]
    assert a.messages_at("waiting").keys() == {"busy"}
    hold.unlink()
    check_done(a, "busy", 8000)
    if verb == "pause":
        a.do("resume", "job")
        check_done(a, "job", 8000)


def check_done(host: Host, job: str, n: int) -> None:
    """See that every message was handled at its first attempt."""
    final = host.wait(job)
    assert (final["status"], final["routines"]["waiting"]["state"]) == ("completed", {"done": n})
    assert {(e["attempt"], e["outcome"]) for e in final["history"]} == {(1, "succeeded")}


def test_a_job_that_fails_leaves_the_other_running(host: Host, effects: Path) -> None:
    host.submit("queues:moody", "bad", n=60, fatal=10)
    host.submit("queues:moody", "good", n=60)
    bad = host.wait("bad")
    assert (bad["status"], bad["error"]["type"]) == ("failed", "RuntimeError")
    assert [e["message"] for e in bad["history"] if e["outcome"] == "failed"] == [12]
    assert succeeded(host, "good") < 60, "it was still running"
    good = host.wait("good")
    assert (good["status"], good["result"]["succeeded"]) == ("completed", 121)
    assert {(e["attempt"], e["outcome"]) for e in good["history"]} == {(1, "succeeded")}
    assert len({e.pid for e in read_effects(effects)}) == 1, "both in the same process"
    assert host.show("bad")["status"] == "failed"
