"""Writes ``docs/performance/figures.md`` from ``figures.json``: every table of the page, and none by hand.

``python -m benchmarks.suite.page [FOLDER]`` writes it again without measuring.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.suite.plots import OVERVIEW
from benchmarks.suite.record import Record, load
from benchmarks.suite.table import HEAD, Row, about, marks, rows

PAGE = "figures.md"
FOLDER = Path(__file__).parents[2] / "docs" / "performance"

INTRODUCTION = """# Figures

Written by `make bench` from `figures.json`; [README.md](README.md) says how to read it. Medians of the
repetitions, lowest to highest in parentheses; a ratio is of two that were measured next to each other.
"""


def page(records: Iterable[Record], plots: Iterable[str]) -> str:
    """Give the whole page.

    Args:
        records: the figures.
        plots: names of the plots' files; each belongs to the figure that its name begins with.
    """
    drawn = sorted(plots)
    parts = [INTRODUCTION]
    if f"{OVERVIEW}.svg" in drawn:
        parts.append(f"![How far the targets are met]({OVERVIEW}.svg)\n")
    for record in records:
        parts.append(f"## {record.title}{marks(record)}\n")
        parts.append(markdown(rows(record)) + "\n")
        parts += [f"![{name}]({name})\n" for name in drawn if belongs(name, record.name)]
        parts.append("\n".join(f"- {line}" for line in about(record)) + "\n")
    return "\n".join(parts)


def belongs(file: str, figure: str) -> bool:
    """Tell whether a plot is of a figure."""
    return file == f"{figure}.svg" or file.startswith(f"{figure}-")


def markdown(found: list[Row]) -> str:
    """Write rows as a table."""
    lines = [HEAD, Row("---", "---", "---", "---", "---"), *found]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def write(folder: Path) -> Path:
    """Write the page of the figures that a folder holds."""
    path = folder / PAGE
    path.write_text(page(load(folder).values(), [file.name for file in folder.glob("*.svg")]))
    return path


if __name__ == "__main__":
    print(write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
