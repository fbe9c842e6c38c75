"""The suite: ``python -m benchmarks`` (``make bench``) measures all figures and prints one table.

Into ``docs/performance/`` go ``figures.json``, the plots and ``figures.md``; figures that weren't measured
this time stay as they were. A figure that fails is named, the others are measured all the same, and the
exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.figures.all import FIGURES
from benchmarks.suite import page
from benchmarks.suite.alone import add_common, resized
from benchmarks.suite.figure import Figure
from benchmarks.suite.plots import draw_all
from benchmarks.suite.record import Record, keep, load, run_figure
from benchmarks.suite.table import about, text


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; give the exit code."""
    options = parse(arguments)
    if options.list:
        print("\n".join(f"{figure.name:16} {figure.title}" for figure in FIGURES))
        return 0
    chosen = choose(options.only)
    sizes = {figure.name: sizes_of(figure, options.size, tiny=options.tiny) for figure in chosen}
    found: list[Record] = []
    failed: list[str] = []
    for figure in chosen:
        begun = time.monotonic()
        print(f"{figure.name}: {figure.title}", file=sys.stderr, flush=True)
        try:
            found.append(run_figure(figure, sizes[figure.name], options.runs, options.disk))
            if not options.dry:
                keep_beside(options.into, found[-1:])  # at once: a run that is broken off keeps what it has
        except (Exception, SystemExit):  # noqa: BLE001 - one broken figure must not cost all others
            traceback.print_exc()
            failed.append(figure.name)
        print(f"    {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    if found and not options.dry:
        draw(options.into)
    show(found, options.output)
    print(f"{sum(one.took_s for one in found):,.0f} s for {len(found)} figures", file=sys.stderr)
    for name in failed:
        print(f"{name} could not be measured: see above", file=sys.stderr)
    return 1 if failed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="All figures, in one table.")
    add_common(parser)
    parser.add_argument("--only", default="", metavar="NAME,…", help="measure these figures alone")
    parser.add_argument("--list", action="store_true", help="name the figures")
    parser.add_argument(
        "--size", action="append", default=[], metavar="FIGURE.SIZE=N", help="another size; repeatable"
    )
    parser.add_argument(
        "--into", type=Path, default=page.FOLDER, metavar="DIR", help="where JSON, plots and page go"
    )
    parser.add_argument("--dry", action="store_true", help="print only, keep nothing")
    return parser.parse_args(arguments)


def choose(only: str) -> list[Figure[Any]]:
    """Give the figures that are asked for, in the suite's order.

    Raises:
        SystemExit: if there is no figure of a name.
    """
    names = {name for name in only.replace(",", " ").split() if name}
    unknown = names - {figure.name for figure in FIGURES}
    if unknown:
        known = ", ".join(figure.name for figure in FIGURES)
        raise SystemExit(f"there is no figure {', '.join(sorted(unknown))}: choose of {known}")
    return [figure for figure in FIGURES if not names or figure.name in names]


def sizes_of(figure: Figure[Any], asked: list[str], *, tiny: bool) -> msgspec.Struct:
    """Give the sizes of a figure: its own, and what was asked for instead."""
    mine = [one.partition(".")[2].partition("=") for one in asked if one.startswith(f"{figure.name}.")]
    sizes: msgspec.Struct = figure.tiny if tiny else figure.sizes
    return resized(sizes, {name: value for name, _, value in mine})


def show(found: list[Record], output: str) -> None:
    """Print what was measured."""
    if output == "json":
        print(msgspec.json.encode({record.name: record for record in found}).decode())
    elif found:
        print(text(found))
        print(*(line for line in about(found[0]) if not line.startswith(("sizes", "notes"))), sep="\n")


def keep_beside(folder: Path, found: list[Record]) -> None:
    """Keep figures beside those that are kept already."""
    kept = {**load(folder), **{record.name: record for record in found}}
    places = {figure.name: place for place, figure in enumerate(FIGURES)}  # others come behind
    keep(folder, dict(sorted(kept.items(), key=lambda pair: places.get(pair[0], len(places)))))


def draw(folder: Path) -> None:
    """Draw the plots of all that is kept, and write the page."""
    for old in folder.glob("*.svg"):
        if not old.name.startswith("profile-"):
            old.unlink()
    draw_all(load(folder).values(), folder)
    print(f"kept in {page.write(folder)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
