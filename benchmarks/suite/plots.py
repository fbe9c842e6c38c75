"""Plots of figures as SVG files. matplotlib is imported when the first one is drawn, by nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.suite.figure import Curve, Line
from benchmarks.suite.record import Record
from benchmarks.suite.targets import TARGETS, Target
from benchmarks.suite.verdicts import judge

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (7.0, 4.2)
OVERVIEW = "targets"
MOST = 100.0
"""Times as good as asked for, up to which that is shown."""


def draw_all(records: Iterable[Record], folder: Path) -> list[Path]:
    """Draw every plot of some figures, and the overview of all targets.

    Args:
        records: the figures.
        folder: gets the files.

    Returns:
        The files.
    """
    known = list(records)
    files = [
        draw(f"{record.name}-{slug(plot)}", list(curves), folder)
        for record in known
        for plot, curves in groupby(record.measured.curves, key=lambda curve: curve.plot)
    ]
    overview = achieved(known)
    if overview:
        files.append(draw_overview(overview, folder))
    return files


def draw(name: str, curves: list[Curve], folder: Path) -> Path:
    """Draw the curves of one plot."""
    plot = new_plot()
    axes: Axes = plot.gca()
    for curve in curves:
        across, up = zip(*curve.points, strict=True)
        axes.plot(across, up, marker="o" if len(curve.points) < 20 else "", label=curve.label)
    if curves[0].logarithmic:
        axes.set_xscale("log")
    axes.set_xlim(left=None if curves[0].logarithmic else 0)
    axes.set_ylim(bottom=0)
    axes.set_title(curves[0].plot)
    axes.set_xlabel(curves[0].across)
    axes.set_ylabel(curves[0].up)
    axes.grid(alpha=0.3)
    axes.legend()
    return save(plot, folder / f"{name}.svg")


def achieved(records: list[Record]) -> list[tuple[str, float]]:
    """Give how many times as good as its target each figure is, the best last."""
    found = [
        (f"{line.what} ({target.of.value})", min(judge(line, target).factor, MOST))
        for record in records
        for line in record.measured.lines
        for target in targets(record, line)
    ]
    return sorted(found, key=lambda pair: pair[1])


def targets(record: Record, line: Line) -> tuple[Target, ...]:
    """Give the targets of a line."""
    return TARGETS.get(f"{record.name}.{line.name}", ())


def draw_overview(overview: list[tuple[str, float]], folder: Path) -> Path:
    """Draw how far every target is met: 1 is just met."""
    plot = new_plot((9.0, 1.0 + 0.28 * len(overview)))
    axes: Axes = plot.gca()
    names, factors = zip(*overview, strict=True)
    colours = ["tab:green" if factor >= 1 else "tab:red" for factor in factors]
    axes.barh(names, factors, color=colours)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("times as good as the target asks for")
    axes.tick_params(axis="y", labelsize=8)
    return save(plot, folder / f"{OVERVIEW}.svg")


def new_plot(size: tuple[float, float] = SIZE) -> Any:  # Figure: a name that this suite uses itself
    """Make an empty drawing, without any window system."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "sojourn"  # the same plot is the same file
    return Figure(figsize=size, layout="constrained")


def save(plot: Any, path: Path) -> Path:
    """Write a drawing."""
    plot.savefig(path, metadata={"Date": None})
    return path


def slug(title: str) -> str:
    """Make a file's name of a title."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in title.lower()).split())
