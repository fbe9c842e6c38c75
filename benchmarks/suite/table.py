"""The table of all figures, as rows of text: the same for a terminal and for the page. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.suite.figure import Line
from benchmarks.suite.record import Record
from benchmarks.suite.targets import TARGETS, Of, Target
from benchmarks.suite.verdicts import Spread, judge, ratios, spread


class Row(NamedTuple):
    """One line of one figure, in words."""

    what: str
    ours: str
    beside: str
    ratio: str
    target: str


TIMES = "times"
HEAD = Row("figure", "Sojourn", "beside it", "ratio", "target")


def rows(record: Record) -> list[Row]:
    """Give the rows of a figure."""
    found = [repeated(row(record.name, line), line, record.runs) for line in record.measured.lines]
    found += [
        Row(f"{record.name}.{name}", "not measured", reason, "", "")
        for name, reason in record.measured.absent.items()
    ]
    return found


def repeated(one: Row, line: Line, runs: int) -> Row:
    """Say where there are fewer repetitions than were asked for."""
    fewer = len(line.ours) < runs
    return one._replace(what=f"{one.what} [{len(line.ours)} of {runs} repetitions]") if fewer else one


def row(figure: str, line: Line) -> Row:
    """Give the row of a line."""
    compared = len(line.beside) > 0
    return Row(
        line.what,
        f"{shown(spread(line.ours))} {line.unit}",
        f"{shown(spread(line.beside))} {line.unit}: {line.against}" if compared else "",
        shown(spread(ratios(line))) if compared else "",
        "; ".join(verdict(line, target) for target in TARGETS.get(f"{figure}.{line.name}", ())),
    )


def verdict(line: Line, target: Target) -> str:
    """Say what is asked for and whether it is so."""
    judged = judge(line, target)
    sign = "≥" if target.at_least else "≤"
    unit = TIMES if target.of is Of.RATIO else line.unit
    if judged.met:
        return f"{sign} {target.bound:,g} {unit}: met"
    factor = 1 / judged.factor if judged.factor else float("inf")
    return f"{sign} {target.bound:,g} {unit}: MISSED {factor:.2f}-fold"


def shown(values: Spread) -> str:
    """Write median and spread."""
    low, high = number(values.lowest), number(values.highest)
    middle = number(values.median)
    return middle if low == high else f"{middle} ({low} to {high})"


def number(value: float) -> str:
    """Write a number with three digits that mean something."""
    size = abs(value)
    if size >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.{1 if size >= 10 else 2 if size >= 1 else 3}f}"


def text(records: Iterable[Record]) -> str:
    """Lay all figures out as one table for a terminal."""
    blocks = [(record, rows(record)) for record in records]
    everything = [HEAD, *(one for _, found in blocks for one in found)]
    wide = [max(width(one[column]) for one in everything) for column in range(len(HEAD))]
    lines = [laid_out(HEAD, wide), "  ".join("-" * size for size in wide)]
    for record, found in blocks:
        lines.append(f"{record.name}: {record.title}{marks(record)}")
        lines += [laid_out(one, wide) for one in found]
    return "\n".join(lines)


def marks(record: Record) -> str:
    """Say what makes a figure worth less."""
    return "  [busy machine]" if "busy" in record.machine["load before"] else ""


def laid_out(one: Row, wide: list[int]) -> str:
    """Lay one row out."""
    cells = [cell + " " * (size - width(cell)) for cell, size in zip(one, wide, strict=True)]
    return "  ".join(cells).rstrip()


def width(cell: str) -> int:
    """Count the columns that a cell takes on a terminal."""
    return sum(0 if unicodedata.combining(letter) else 1 for letter in cell)


def about(record: Record) -> list[str]:
    """Name machine, versions, durability and what else is needed to read a figure."""
    facts = {
        "machine": record.machine, "versions": record.versions, "durability": record.durability,
        "sizes": {name: f"{value:,g}" for name, value in record.sizes.items()},
        "notes": record.measured.notes,
    }
    return [
        f"{kind}: " + ", ".join(f"{name} {value}" for name, value in found.items())
        for kind, found in facts.items() if found
    ]
