"""What a figure is: the words that every module in ``figures/`` and everything that shows them share.

Plain values; measures nothing, prints nothing. A figure module gives one ``Figure``; running it gives
``Measured``: lines of repetitions, each of ours beside what was measured next to it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)
"""The sizes of a figure: a frozen Struct of numbers, each of which is an option."""


LONGEST = 40.0
"""Seconds after which no further repetition of the same thing begins, so that a run has an end."""


class Line(msgspec.Struct, frozen=True):
    """One row of the table: repetitions of ours, and beside each the one that it is held against.

    Attributes:
        name: unique in its figure; targets name it.
        what: for people.
        unit: of ``ours`` and ``beside``.
        ours: what was measured, one value per repetition.
        against: what ``beside`` is: the bare prototype, or ours under other circumstances.
        beside: what was measured next to each of ``ours``; empty where there is nothing to compare with.
    """

    name: str
    what: str
    unit: str
    ours: list[float]
    against: str = ""
    beside: list[float] = []


class Curve(msgspec.Struct, frozen=True):
    """One line of a plot.

    Attributes:
        plot: title of the plot that it belongs to.
        across: what the horizontal axis says.
        up: what the vertical axis says.
        label: of this line.
        points: (x, y), by rising x.
        logarithmic: whether the horizontal axis is.
    """

    plot: str
    across: str
    up: str
    label: str
    points: list[tuple[float, float]]
    logarithmic: bool = False


class Measured(msgspec.Struct, frozen=True):
    """What running a figure gave.

    Attributes:
        lines: rows of the table.
        curves: what is plotted beside it.
        absent: lines that couldn't be measured here, with the reason.
        notes: what is needed to read them: durability settings, ways that were chosen.
    """

    lines: list[Line]
    curves: list[Curve] = []
    absent: dict[str, str] = {}
    notes: dict[str, str] = {}


class Run(msgspec.Struct, Generic[S], frozen=True):
    """What a figure is run with.

    Attributes:
        sizes: how much of everything.
        runs: repetitions.
        folder: empty, for homes and files; on the disk that is measured.
        seconds: after which no further repetition of the same thing begins.
    """

    sizes: S
    runs: int
    folder: Path
    seconds: float = LONGEST

    def say(self, what: str) -> None:
        """Tell a person who waits how far it is."""
        print(f"    {what}", file=sys.stderr, flush=True)

    def alternately(
        self, ours: Callable[[int], float], beside: Callable[[int], float]
    ) -> tuple[list[float], list[float]]:
        """Measure both in turn, so that a machine that slows down slows both.

        Args:
            ours: gets the number of the repetition, from 1.
            beside: likewise, run just before it.
        """
        found: tuple[list[float], list[float]] = ([], [])
        for number in self.repetitions():
            found[1].append(beside(number))
            found[0].append(ours(number))
        return found

    def repetitions(self) -> Iterator[int]:
        """Count the repetitions from 1; fewer where they take too long, at least one."""
        begun = time.monotonic()
        for number in range(1, self.runs + 1):
            if number > 1 and time.monotonic() - begun > self.seconds:
                self.say(f"no further repetitions after {self.seconds:g} s")
                return
            yield number

    def new_folder(self, name: str) -> Path:
        """Make a folder below this run's."""
        made = self.folder / name
        made.mkdir()
        return made


class Figure(msgspec.Struct, Generic[S], frozen=True):
    """One figure of the suite.

    Attributes:
        name: that of its module.
        title: for people.
        sizes: by default.
        tiny: sizes that only show that it works.
        measure: measures it.
    """

    name: str
    title: str
    sizes: S
    tiny: S
    measure: Callable[[Run[S]], Measured]
