"""``sojourn handoff``: what is under way or in doubt, and the end of a doubt by force."""

from __future__ import annotations

from typing import Any

import click

from sojourn.hosts.cli.common import Settings, complete_job, job_argument, with_settings
from sojourn.hosts.cli.render import line_text, table
from sojourn.runtime.wire.client import Handoffs, Resolve


@click.group("handoff")
def handoff_command() -> None:
    """Look at hand-offs that are under way or in doubt."""


@handoff_command.command("list")
@with_settings
def list_command(settings: Settings) -> None:
    """List the hand-offs of this host that are under way or in doubt."""
    found = settings.ask(Handoffs())["handoffs"]
    settings.print(
        found,
        lambda: _rows(found) if found else "no hand-off is under way or in doubt on this host",
    )


@handoff_command.command("show")
@job_argument
@with_settings
def show_command(settings: Settings, job: str) -> None:
    """Show the hand-offs of one job, ended ones too: who owns it, why, and what is safe to do."""
    found = settings.ask(Handoffs(job), job=job)["handoffs"]
    settings.print(
        found,
        lambda: "\n\n".join(map(_whole, found)) if found else f"job {job} was never handed over",
    )


@handoff_command.command("resolve")
@click.argument("job", metavar="JOB", shell_complete=complete_job)
@click.option("--force", "how", required=True, type=click.Choice(["accept", "reclaim"]),
              help="accept: the job is here. reclaim: the job is here again.")
@with_settings
def resolve_command(settings: Settings, job: str, how: str) -> None:
    """End a doubt, where the other host is GONE FOR GOOD.

    Only for a host that will never come back: destroyed, or wiped. If it does come back while it believes
    to own the job, it gives way before it runs it; what it did meanwhile is lost. Every paired host that
    can be reached is asked first, and the command is refused where one has the job at a later epoch, or
    where the other host can still answer.
    """
    body = settings.ask(Resolve(job, how), job=job)
    missing = ", ".join(body["unreachable"])
    settings.print(
        body,
        f"job {body['job_id']} is owned by host {body['host']} at epoch {body['epoch']}"
        + (f"; could not be asked, and must stay off or find out first: {missing}" if missing else ""),
    )


def _rows(found: list[dict[str, Any]]) -> str:
    return table(
        ["JOB", "ROLE", "STATE", "PEER", "REACHABLE", "OWNER", "NEXT"],
        [
            [
                entry["job_id"], entry["role"], entry["state"], entry["peer"],
                "yes" if entry["connected"] else "no", entry["owner"] or "in doubt",
                line_text(entry["command"], 90),
            ]
            for entry in found
        ],
    )


def _whole(entry: dict[str, Any]) -> str:
    owner = entry["owner"] or "nobody can say yet"
    return (
        f"hand-off {entry['m'] or '-'} of job {entry['job_id']}, epoch {entry['epoch']}: this host is the "
        f"{entry['role']}, {entry['state']}\n"
        f"other side: {entry['peer']} ({'reachable' if entry['connected'] else 'not reachable'})\n"
        f"owner: {owner}\n"
        f"why: {entry['why']}\n"
        f"next: {entry['command']}"
    )
