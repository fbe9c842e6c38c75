"""What is kept of a run: one JSON file by figures, so that a run of some of them replaces only those."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.suite import machine
from benchmarks.suite.figure import Curve, Figure, Line, Measured, Run

FILE = "figures.json"
FORMAT = 1
DIGITS = 5
PREFIX = "sojourn-bench-"


class Record(msgspec.Struct, frozen=True):
    """One figure as it was measured.

    Attributes:
        name: the figure.
        title: for people.
        runs: repetitions.
        sizes: how much of everything.
        took_s: seconds that measuring it took.
        measured: what it gave.
        machine: what it was measured on, and when.
        versions: of what it depends on.
        durability: settings of every commit, on both sides.
    """

    name: str
    title: str
    runs: int
    sizes: dict[str, float]
    took_s: float
    measured: Measured
    machine: dict[str, str]
    versions: dict[str, str]
    durability: dict[str, str]


class Book(msgspec.Struct, frozen=True):
    """The file."""

    format: int
    figures: dict[str, Record]


def run_figure(figure: Figure[Any], sizes: msgspec.Struct, runs: int, disk: Path) -> Record:
    """Measure one figure, in a folder of its own on the disk that is named."""
    described = machine.describe(disk)
    begun = time.monotonic()
    # a killed supervisor's processes may still write while it is removed
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=disk, ignore_cleanup_errors=True) as folder:
        measured = figure.measure(Run(sizes, runs, Path(folder)))
    return Record(
        figure.name, figure.title, runs, msgspec.to_builtins(sizes), rounded(time.monotonic() - begun),
        tidy(measured), described, machine.versions(), machine.durability(),
    )


def tidy(measured: Measured) -> Measured:
    """Cut numbers to the digits that mean something."""
    return Measured(
        [
            Line(line.name, line.what, line.unit, [*map(rounded, line.ours)], line.against,
                 [*map(rounded, line.beside)])
            for line in measured.lines
        ],
        [
            Curve(curve.plot, curve.across, curve.up, curve.label,
                  [(rounded(x), rounded(y)) for x, y in curve.points], curve.logarithmic)
            for curve in measured.curves
        ],
        measured.absent,
        measured.notes,
    )


def rounded(value: float) -> float:
    """Keep some significant digits."""
    return float(f"{value:.{DIGITS}g}")


def load(folder: Path) -> dict[str, Record]:
    """Read what was kept; nothing where there is no file."""
    path = folder / FILE
    if not path.exists():
        return {}
    return msgspec.json.decode(path.read_bytes(), type=Book).figures


def keep(folder: Path, records: dict[str, Record]) -> None:
    """Write the file."""
    folder.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(Book(FORMAT, records)), indent=1)
    (folder / FILE).write_bytes(encoded + b"\n")
