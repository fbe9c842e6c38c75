"""Writes ``docs/state-machines.md`` and the tables in ``docs/handoff.md``, from what the code runs by.

``python docs/generate.py`` writes them; with ``--check`` nothing is written, and the exit code is 1 where a
page differs from the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from sojourn.runtime.handoff.crash_points import ALL
from sojourn.runtime.handoff.table import SOURCE_TRANSITIONS, TARGET_TRANSITIONS
from sojourn.runtime.job_table import TRANSITIONS
from sojourn.runtime.transitions import Transition

PAGE = Path(__file__).parent / "state-machines.md"
HANDOFF = Path(__file__).parent / "handoff.md"
BEGIN, END = "<!-- tables: written by make docs -->", "<!-- end of tables -->"

INTRODUCTION = """# State machines

This page is written by `make docs` from the tables in the code; `make lint` fails where they differ.
"""

SECTIONS: tuple[tuple[str, str, tuple[Transition, ...]], ...] = (
    (
        "The life of a job",
        (
            "`runtime/job_table.py`. `moving` and `moved` are what a host says of a job while and after "
            "it gives it away; the status under them is part of what travels."
        ),
        TRANSITIONS,
    ),
    (
        "A hand-off, at its source",
        (
            "`runtime/handoff/table.py`. RELEASED is the commit point: until it is on disk, the source "
            "can always go on alone."
        ),
        SOURCE_TRANSITIONS,
    ),
    (
        "A hand-off, at its target",
        (
            "`runtime/handoff/table.py`. PREPARED is in doubt: it never runs the job and never drops it, "
            "until the source has answered."
        ),
        TARGET_TRANSITIONS,
    ),
)


def page() -> str:
    """Give the whole page."""
    parts = [INTRODUCTION]
    for title, text, table in SECTIONS:
        parts.append(f"## {title}\n\n{text}\n\n{diagram(table)}\n\n{rows(table)}\n")
    names = "\n".join(f"- `{point}`" for point in ALL)
    parts.append(
        "## Crash points\n\n`runtime/handoff/crash_points.py`. With `SOJOURN_CRASH_POINT` set to one of "
        "these, a supervisor kills itself there with SIGKILL (with `SOJOURN_STOP_POINT`: stops itself with "
        "SIGSTOP); `tests/integration/test_crash_points.py` "
        f"goes through all of them.\n\n{names}\n"
    )
    return "\n".join(parts)


def handoff_page(text: str) -> str:
    """Give the page of the hand-off with its tables as the code has them."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n\n".join(
        f"{title}:\n\n{diagram(table)}\n\n{rows(table)}"
        for title, table in (("The source", SOURCE_TRANSITIONS), ("The target", TARGET_TRANSITIONS))
    )
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def diagram(table: Iterable[Transition]) -> str:
    """Draw a table as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines.extend(f"    {row.source} --> {row.target}: {row.event}" for row in table)
    lines.append("```")
    return "\n".join(lines)


def rows(table: Iterable[Transition]) -> str:
    """Write a table as a table."""
    lines = ["| from | event | to | |", "|---|---|---|---|"]
    lines.extend(f"| {row.source} | {row.event} | {row.target} | {row.note} |" for row in table)
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    pages = {PAGE: page(), HANDOFF: handoff_page(HANDOFF.read_text())}
    if "--check" not in arguments:
        for path, text in pages.items():
            path.write_text(text)
        return 0
    wrong = [path.name for path, text in pages.items() if not path.exists() or path.read_text() != text]
    for name in wrong:
        print(f"{name} differs from the tables in the code: run `make docs`", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
