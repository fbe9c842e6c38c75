"""What people and machines are told of several moves: a line or document per job, and one exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from sojourn.hosts.cli.common import Settings
from sojourn.hosts.cli.progress import moves_shown
from sojourn.hosts.cli.render import handoff_text, line_text, table
from sojourn.hosts.connection import Body
from sojourn.runtime.moved import Outcome, exit_code
from sojourn.runtime.wire.whole_hosts import MigrateMany

NAMED = 5
"""Jobs that a sentence names."""


def move_many(settings: Settings, command: MigrateMany) -> int:
    """Move several jobs; print what came of each.

    Returns:
        The exit code.
    """
    begun: dict[str, None] = {}
    with moves_shown() as show:

        def news(body: Body) -> None:
            begun[body["job_id"]] = None
            show(body)

        entries = settings.ask(command, on_progress=news, goes_on=lambda: _goes_on(list(begun)))["jobs"]
    if not entries:
        click.echo("no job moved: the host owns no unfinished one", err=True)
    return show_entries(settings, entries, entries)


def show_entries(
    settings: Settings, entries: Sequence[Body], document: Any, text: Callable[[], str] | None = None
) -> int:
    """Print what came of each job, and in a sentence on stderr what the exit code means.

    Args:
        settings: how.
        entries: the jobs.
        document: what machines get.
        text: what people get; None for a line per job.

    Returns:
        The exit code.
    """
    settings.print(document, (lambda: entries_text(entries)) if text is None else text)
    code = exit_code(entries)
    if code:
        doubts, stay = _count(entries, Outcome.IN_DOUBT), _count(entries, Outcome.STAYS)
        said = [f"{stay} did not move"] * bool(stay) + [f"{doubts} in doubt"] * bool(doubts)
        click.echo(f"error: of {len(entries)} jobs: {', '.join(said)}", err=True)
    return code


def _count(entries: Sequence[Body], outcome: Outcome) -> int:
    return sum(entry["outcome"] == outcome for entry in entries)


def entries_text(entries: Sequence[Body]) -> str:
    """Write a line per job."""
    return "\n".join(map(entry_text, entries))


def entry_text(entry: Body) -> str:
    """Say where a job is now, and what happened to it."""
    job = entry["job_id"]
    match Outcome(entry["outcome"]):
        case Outcome.MOVED:
            return f"moved {job} from {handoff_text(entry)}"
        case Outcome.STAYS:
            where = f" on {entry['host']}" if entry["host"] else ""
            return f"stays {job}{where}: {line_text(entry['reason'])}"
        case Outcome.IN_DOUBT:
            return f"in doubt {job}, on its way to {entry['to']}: {line_text(entry['reason'])}"
        case Outcome.ENDED:
            return f"ended {job} on {entry['host']}: {entry['reason']}"


def drain_text(entries: Sequence[Body]) -> str:
    """Write a table of what a drain came to."""
    return table(
        ["JOB", "OUTCOME", "NOW ON", "NOTE"],
        [
            [
                entry["job_id"], entry["outcome"], entry["host"] or f"(released to {entry['to']})",
                _note(entry),
            ]
            for entry in entries
        ],
    )


def _note(entry: Body) -> str:
    if entry["outcome"] == Outcome.MOVED and not entry["reason"]:
        return handoff_text(entry)
    return line_text(entry["reason"] or "", 200)


def names_text(jobs: Sequence[str]) -> str:
    """Name some of several jobs."""
    return ", ".join(jobs[:NAMED]) + (f" and {len(jobs) - NAMED} more" if len(jobs) > NAMED else "")


def _goes_on(jobs: list[str]) -> str:
    some = f" (begun: {names_text(jobs)})" if jobs else ""
    return f"the moves go on{some}; `sojourn jobs` shows what has moved, `sojourn handoff list` the rest"

