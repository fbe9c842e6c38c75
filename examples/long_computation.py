"""Looks for the longest Collatz chain: minutes of real work in one turn, which a move doesn't begin again.

    sojourn run long_computation:flow --input '{"below": 2000000}'      # in this folder; some 40 s

The turn saves its place in ``progress`` once a second, with ``checkpoint()``, and at once where a move or a
stop waits for it (``should_yield``). So a move finds it at a checkpoint and loses nothing; what is killed
in the middle (``migrate --grace 0``, ``kill -9``) goes on from its last checkpoint and loses a second at
most. With a ``ledger``, a file in which every step leaves a line once it is done, the job counts what it
did again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from sojourn import Flow, Routine

STEP = 1000
"""Numbers of one step: some 10 ms of work."""


def chain_length(number: int) -> int:
    """Count the numbers from ``number`` down to 1, where n is followed by n/2 or 3n + 1."""
    length = 1
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        length += 1
    return length


def longest(step: int, below: int) -> tuple[int, int]:
    """Give (length, number) of the longest chain of a step; of two of the same length, the later number."""
    numbers = range(max(1, step * STEP), min(below, (step + 1) * STEP))
    return max((chain_length(number), number) for number in numbers)


def reference(below: int) -> tuple[int, int]:
    """Compute at one go what a job must come to."""
    return max(longest(step, below) for step in range(-(-below // STEP)))


@contextmanager
def opened(ledger: str | None) -> Generator[Callable[[int], None]]:
    """Give what notes that a step is done: a line of step, process and time that stays."""
    if ledger is None:
        yield lambda _step: None
        return
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        yield lambda step: _write(descriptor, f"{step}\t{os.getpid()}\t{time.time():.6f}\n")
    finally:
        os.close(descriptor)


def _write(descriptor: int, line: str) -> None:
    os.write(descriptor, line.encode())


class Search(Routine):
    """Goes through the numbers below a bound, step by step."""

    def process(self, below: int = 10_000_000, every: float = 1.0, ledger: str | None = None) -> None:
        if below < 2:
            raise ValueError(f"there is no number to try below {below}")
        steps = -(-below // STEP)
        step, best = self.progress.get("step", 0), self.progress.get("best", (0, 0))
        saved = time.monotonic()
        with opened(ledger) as note:
            while step < steps:
                best = max(best, longest(step, below))
                note(step)
                step += 1
                if time.monotonic() - saved >= every or self.should_yield:
                    self.progress.update(step=step, best=best)
                    self.checkpoint()
                    saved = time.monotonic()
        length, number = best
        done = steps if ledger is None else len(Path(ledger).read_text().splitlines())
        self.set_result(number=number, length=length, steps=steps, done_again=done - steps)


flow = Flow("long-computation")
flow.add_routine(Search(), "search")
