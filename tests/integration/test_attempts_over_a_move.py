"""The main job: attempts, backoff and the success path over a move (points 1 and 2 of the contract)."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from tests.integration.hosting import Host, attempts, check_effects, read_effects


def test_five_attempts_in_all_two_by_a_and_three_by_b(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    b.submit("failing:quick", "imports-the-code-there")
    a.submit("failing:quick", "job")
    a.wait("job", "failing.retry_count >= 2")
    moved = a.migrate("job", b)
    begun_by_a = len([effect for effect in read_effects(effects) if effect.host == "a"])
    final = b.wait("job")

    assert final["status"] == "failed"
    assert final["routines"]["failing"]["retry_count"] == 4
    assert final["routines"]["failing"]["state"]["tried"] == 5
    assert attempts(final, "failing") == [
        (2, 1, "failed", "a"), (2, 2, "failed", "a"), (2, 3, "failed", "b"),
        (2, 4, "failed", "b"), (2, 5, "failed", "b"),
    ]
    done = [effect for effect in read_effects(effects) if effect.turn.startswith(final["instance"])]
    assert [(e.attempt, e.host) for e in done if e.what == "failing"] == [
        (1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "b"),
    ]
    assert len([e for e in done if e.host == "a"]) == begun_by_a, "a ran something after the freeze"
    assert not [e for e in done if e.what == "after"]
    check_effects(done, final)
    assert moved.downtime_ms is not None
    assert moved.downtime_ms > 0
    left = a.show("job")
    assert (left["status"], left["moved_to"], left["epoch"]) == ("moved", "b", 1)
    assert final["epoch"] == 2


def test_the_remaining_backoff_is_honoured(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("failing:slow_backoff", "job")
    first = a.wait("job", "failing.retry_count >= 1")
    failed_at = datetime.fromisoformat(first["history"][-1]["ended_at"]).timestamp()
    time_left = failed_at + 1.5 - time.time()
    a.wait("job", "history >= 2")
    if time_left > 0:
        # Half of the backoff passes before the move: that is the point of this test, not a wait.
        time.sleep(time_left)
    a.migrate("job", b)
    second = b.wait("job", "failing.retry_count >= 2")
    started = datetime.fromisoformat(second["history"][-1]["started_at"]).timestamp()
    assert abs(started - (failed_at + 3.0)) < 0.5
    assert second["history"][-1]["host"] == "b"


def test_the_healed_job_reaches_success_exactly_once(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    b.submit("failing:slow_backoff", "imports-the-code-there")
    a.submit("failing:healing", "job")
    a.wait("job", "failing.retry_count >= 2")
    a.migrate("job", b)
    final = b.wait("job")
    assert (final["status"], final["result"]) == ("completed", {"reached": True})
    assert [(e.turn, e.host) for e in read_effects(effects) if e.what == "after"] == [
        (f"{final['instance']}:3", "b")
    ]
    assert attempts(final, "after") == [(3, 1, "succeeded", "b")]
