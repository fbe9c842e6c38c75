"""The main job: attempts, backoff and the success path over a move (points 1, 2 and 4)."""

from __future__ import annotations

from pathlib import Path

from tests.integration.hosting import Host, attempts, check_effects, read_effects, seconds_of
from tests.integration.moving import warm_up
from tests.waiting import wait_until


def test_five_attempts_in_all_two_by_a_and_three_by_b(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    warm_up(b, "failing:unhurried")
    a.submit("failing:unhurried", "job")
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
    done = [e for e in read_effects(effects) if e.turn.startswith(final["instance"])]
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
    warm_up(b, "failing:slow_backoff")
    a.submit("failing:slow_backoff", "job")
    first = a.wait("job", "failing.retry_count >= 1")
    due = seconds_of(first["history"][-1]["ended_at"]) + 3.0
    wait_until(lambda: due_in(a) <= 1.5, what="half of the backoff to be over")
    left_before = due_in(a)
    a.migrate("job", b)
    assert 0 < due_in(b) <= left_before, "the remaining delay is what travels"
    second = b.wait("job", "failing.retry_count >= 2")
    last = second["history"][-1]
    assert (last["attempt"], last["host"]) == (2, "b")
    assert abs(seconds_of(last["started_at"]) - due) < 0.5


def due_in(host: Host) -> float:
    """Give the seconds until the one pending message of the job is due."""
    (pending,) = host.show("job")["pending"]
    return float(pending["due_in"])


def test_the_healed_job_reaches_success_exactly_once(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    warm_up(b, "failing:crossing")
    a.submit("failing:crossing", "job")
    a.wait("job", "failing.retry_count >= 3")
    a.migrate("job", b)
    final = b.wait("job")
    assert (final["status"], final["result"]) == ("completed", {"reached": True})
    assert [(e.turn, e.host) for e in read_effects(effects) if e.what == "after"] == [
        (f"{final['instance']}:3", "b")
    ]
    assert attempts(final, "after") == [(3, 1, "succeeded", "b")]


def test_after_a_move_success_reaches_the_right_routine_once_where_all_names_are_alike(
    pair: tuple[Host, Host], effects: Path
) -> None:
    a, b = pair
    warm_up(b, "failing:lookalikes")
    a.submit("failing:lookalikes", "job", x=1)
    a.wait("job", "left.retry_count >= 2 and right.retry_count >= 2")
    a.migrate("job", b)
    final = b.wait("job")
    assert final["status"] == "completed"
    for path in ("left", "right"):
        assert [entry[1:] for entry in attempts(final, path)] == [
            (1, "failed", "a"), (2, "failed", "a"), (3, "failed", "b"), (4, "succeeded", "b"),
        ]
        (reached,) = attempts(final, f"after_{path}")
        assert reached[1:] == (1, "succeeded", "b")
        done = [e for e in read_effects(effects) if e.what == f"after {path}"]
        assert [(e.turn, e.host) for e in done] == [(f"{final['instance']}:{reached[0]}", "b")]
