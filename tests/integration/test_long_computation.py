"""A long computation over ten moves: what it does again is counted by itself, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sojourn import Handoff
from tests.integration.hosting import Host, attempts
from tests.integration.test_examples import load_example
from tests.waiting import wait_until

MOVES = 10
ENDLESS = 10**12
"""A bound that no test reaches: the job is cancelled, which ends its turn at a checkpoint."""


class Step(NamedTuple):
    """A line of the ledger."""

    number: int
    pid: int
    at: float


def read_steps(ledger: Path) -> list[Step]:
    """Read what was done, in the order in which it was."""
    if not ledger.exists():
        return []
    lines = [line.split("\t") for line in ledger.read_text().splitlines()]
    return [Step(int(number), int(pid), float(at)) for number, pid, at in lines]


def check_saved(host: Host) -> int:
    """Cancel the job, and see that what it saved is right; give how many steps that are."""
    host.do("cancel", "job")
    final = host.show("job")
    (pending,) = final["pending"]
    saved, best = pending["progress"]["step"], pending["progress"]["best"]
    example = load_example("long_computation")
    assert tuple(best["value"]) == example.reference(saved * example.STEP)
    history = attempts(final, "search")
    assert {entry[:3] for entry in history} == {(1, 1, "interrupted")}, "an attempt was charged"
    assert [host for *_, host in history] == [*("a", "b") * 5, "a"]
    return int(saved)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The file in which the job counts its steps."""
    return tmp_path / "ledger"


def moved_to_and_fro(
    pair: tuple[Host, Host], ledger: Path, *, grace: float | None
) -> Iterator[tuple[list[Step], Handoff]]:
    """Move the job ten times, each at another place between two checkpoints.

    Args:
        pair: the hosts; it begins at the first.
        ledger: where it counts.
        grace: of the moves.

    Returns:
        For each move, what was done up to it since the move before, and how it went.
    """
    source, target = pair
    known = 0
    for move in range(MOVES):
        more = known + 4 + 3 * move
        wait_until(lambda: len(read_steps(ledger)) >= more, 30.0, "the job to work on")  # noqa: B023
        pid = read_steps(ledger)[-1].pid
        handoff = source.migrate("job", target, grace=grace)
        wait_until(lambda: read_steps(ledger)[-1].pid != pid, 30.0, "the job to go on over there")  # noqa: B023
        steps = read_steps(ledger)
        done = [step for step in steps[known:] if step.pid == pid]
        known += len(done)
        yield done, handoff
        source, target = target, source


def test_ten_moves_lose_nothing_where_the_grace_reaches_a_checkpoint(
    example_pair: tuple[Host, Host], ledger: Path
) -> None:
    a, _ = example_pair
    a.submit("long_computation:flow", "job", below=ENDLESS, ledger=str(ledger))
    moved = [handoff for _, handoff in moved_to_and_fro(example_pair, ledger, grace=None)]
    saved = check_saved(a)
    assert [handoff.target for handoff in moved] == ["b", "a"] * 5
    assert [step.number for step in read_steps(ledger)] == list(range(saved))


def test_moves_that_wait_for_nothing_lose_an_interval_at_most_each(
    example_pair: tuple[Host, Host], ledger: Path
) -> None:
    a, _ = example_pair
    every = 0.5
    a.submit("long_computation:flow", "job", below=ENDLESS, every=every, ledger=str(ledger))
    runs: list[list[Step]] = []
    for done, handoff in moved_to_and_fro(example_pair, ledger, grace=0.0):
        runs.append(done)
        assert handoff.phases_ms is not None
        assert handoff.phases_ms["freeze"] < 1000 * every, "it was waited for"
    saved = check_saved(a)
    runs.append(read_steps(ledger)[sum(map(len, runs)):])

    again = 0
    for run, begins in zip(runs, [*(run[0].number for run in runs[1:]), saved], strict=True):
        lost = [step for step in run if step.number >= begins]
        assert run[-1].number - begins + 1 == len(lost), "a step was left out"
        # The last step may have been on its way into its checkpoint.
        assert len(lost) < 3 or lost[-2].at - lost[0].at < every
        again += len(lost)
    assert again > 0, "no move struck between two checkpoints"
    assert len(read_steps(ledger)) == saved + again
