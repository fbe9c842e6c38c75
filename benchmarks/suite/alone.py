"""Runs one figure by itself: ``python -m benchmarks.figures.NAME``, its sizes as options."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.suite.figure import Figure, S
from benchmarks.suite.record import run_figure
from benchmarks.suite.table import about, text

T = TypeVar("T", bound=msgspec.Struct)

RUNS = 5
"""Repetitions."""


def main(figure: Figure[S], arguments: Sequence[str] | None = None) -> None:
    """Measure a figure and print it; nothing is kept.

    Args:
        figure: which.
        arguments: those of the command line by default.
    """
    parser = argparse.ArgumentParser(description=figure.title)
    add_common(parser)
    for field in msgspec.structs.fields(figure.sizes):
        parser.add_argument(
            "--" + field.name.replace("_", "-"), dest=field.name, metavar="N",
            help=f"default: {getattr(figure.sizes, field.name):,g}",
        )
    options = parser.parse_args(arguments)
    chosen = {
        field.name: getattr(options, field.name) for field in msgspec.structs.fields(figure.sizes)
        if getattr(options, field.name) is not None
    }
    sizes = resized(figure.tiny if options.tiny else figure.sizes, chosen)
    record = run_figure(figure, sizes, options.runs, options.disk)
    if options.output == "json":
        print(msgspec.json.format(msgspec.json.encode(record)).decode())
    else:
        print(text([record]), *about(record), sep="\n")


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that one figure and all of them have."""
    parser.add_argument("--runs", type=int, default=RUNS, help=f"repetitions (default: {RUNS})")
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that it works")
    parser.add_argument(
        "--disk", type=Path, default=Path(tempfile.gettempdir()), metavar="DIR",
        help="folder on the disk that is measured; its path is part of sockets' names, so a short one",
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")


def resized(sizes: T, chosen: dict[str, str]) -> T:
    """Replace some sizes.

    Raises:
        SystemExit: if one isn't a number, or there is no such size.
    """
    try:
        given: dict[str, object] = msgspec.to_builtins(sizes)
        unknown = chosen.keys() - given.keys()
        if unknown:
            raise SystemExit(f"there is no size {', '.join(sorted(unknown))}: choose of {', '.join(given)}")
        return msgspec.convert({**given, **chosen}, type(sizes), strict=False)
    except msgspec.ValidationError as error:
        raise SystemExit(f"a size must be a number: {error}") from None
