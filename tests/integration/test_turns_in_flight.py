"""Turns in flight at a move: waited for to a safe point, interrupted after the grace, never charged."""

from __future__ import annotations

from pathlib import Path

import pytest

from sojourn import Handoff
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, attempts, pair_hosts, read_effects
from tests.integration.moving import begin_move
from tests.waiting import wait_until

Attempt = tuple[int, int, str, str]


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """The file that holds a turn."""
    path = tmp_path / "hold"
    path.touch()
    return path


def start(host: Host, flow: str, hold: Path, effects: Path, *, at: str) -> None:
    """Start a job and wait until its turn is there."""
    host.submit(f"inflight:{flow}", "job", hold=str(hold))
    wait_until(lambda: at in whats(effects), 30.0, f"the turn to be at {at!r}")


def whats(effects: Path) -> list[str]:
    """Give what the turns did so far, and where."""
    return [effect.what for effect in read_effects(effects)]


def finish(host: Host, hold: Path, expected: list[Attempt], steps: int) -> None:
    """Let the turn end; see what its attempts came to, and that each step came once."""
    hold.unlink(missing_ok=True)
    final = host.wait("job")
    assert final["status"] == "completed", final["error"]
    assert attempts(final, "long") == expected
    assert final["routines"]["long"]["retry_count"] == 0
    assert final["result"] == {"got": list(range(steps))}


def froze_for(moved: Handoff) -> float:
    """Give the seconds that turns were waited for."""
    assert moved.phases_ms is not None
    return moved.phases_ms["freeze"] / 1000


def test_a_turn_that_ends_within_the_grace_is_waited_for(
    pair: tuple[Host, Host], hold: Path, effects: Path
) -> None:
    a, b = pair
    start(a, "holding", hold, effects, at="held")
    move = begin_move(a, "job", b, grace=60.0)
    wait_until(lambda: a.show("job")["status"] == "moving", what="the job to freeze")
    assert not move.done()
    hold.unlink()
    assert move.result(60).target == "b"
    finish(b, hold, [(1, 1, "succeeded", "a")], 3)
    assert whats(effects) == ["begin", "held", "finally"]


def test_a_turn_ends_at_its_next_checkpoint_and_goes_on_from_there(
    pair: tuple[Host, Host], hold: Path, effects: Path
) -> None:
    a, b = pair
    start(a, "saving", hold, effects, at="begin")
    moved = a.migrate("job", b, grace=60.0)
    assert froze_for(moved) < 30, "it wasn't ended at a checkpoint"
    rounds = b.show("job")["pending"][0]["progress"]["rounds"]
    wait_until(
        lambda: b.show("job")["pending"][0]["progress"]["rounds"] > rounds, what="the turn to go on"
    )
    finish(b, hold, [(1, 1, "interrupted", "a"), (1, 1, "succeeded", "b")], 1)
    assert [(e.what, e.host) for e in read_effects(effects)] == [
        ("begin", "a"), ("finally", "a"), ("begin", "b"), ("finally", "b"),
    ]


def test_a_turn_that_reaches_no_safe_point_is_interrupted_after_the_grace(
    pair: tuple[Host, Host], hold: Path, effects: Path
) -> None:
    a, b = pair
    start(a, "holding", hold, effects, at="held")
    moved = a.migrate("job", b, grace=2.0)
    assert 1.9 < froze_for(moved) < 20
    assert moved.downtime_ms is not None
    assert moved.downtime_ms < 1900, "the wait for the turn was counted as downtime"
    wait_until(lambda: whats(effects).count("held") == 2, what="the turn to go on")
    finish(b, hold, [(1, 1, "interrupted", "a"), (1, 1, "succeeded", "b")], 3)
    first, second = (effect for effect in read_effects(effects) if effect.what == "held")
    assert (first.key, first.host, second.host) == (second.key, "a", "b")
    assert whats(effects) == ["begin", "held", "begin", "held", "finally"], "it was killed, not ended"


def test_no_grace_moves_at_once(pair: tuple[Host, Host], hold: Path, effects: Path) -> None:
    a, b = pair
    start(a, "holding", hold, effects, at="held")
    assert froze_for(a.migrate("job", b, grace=0.0)) < 2
    finish(b, hold, [(1, 1, "interrupted", "a"), (1, 1, "succeeded", "b")], 3)


def test_without_a_grace_of_the_move_it_is_the_routines_then_the_hosts(
    make_host: MakeHost, hold: Path, effects: Path
) -> None:
    a, b = make_host("a").up("--grace", "1.5"), make_host("b").up("--grace", "30")
    pair_hosts(a, b)
    start(a, "impatient", hold, effects, at="held")
    assert 0.4 < froze_for(a.migrate("job", b)) < 1.4
    finish(b, hold, [(1, 1, "interrupted", "a"), (1, 1, "succeeded", "b")], 3)
    hold.touch()
    a.submit("inflight:holding", "other", hold=str(hold))
    wait_until(lambda: whats(effects).count("held") == 3, what="the other turn to be held")
    assert 1.4 < froze_for(a.migrate("other", b)) < 20
