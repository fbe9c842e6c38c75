"""``sojourn show``: one job."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, job_argument, with_settings
from sojourn.hosts.cli.render import job_text
from sojourn.runtime.wire.bounds import LARGEST_COUNT
from sojourn.runtime.wire.client import Show

FEW = 10
"""Entries of the history that people are shown at first."""

MANY = 100
"""Entries in a document that a machine asks for."""


@click.command("show")
@job_argument
@click.option("--history", type=click.IntRange(0, LARGEST_COUNT), metavar="N",
              help=f"How many history entries.  [default: {FEW}; as JSON: {MANY}]")
@click.option("--after", type=click.IntRange(0, LARGEST_COUNT), metavar="SEQ", help="Those after this one.")
@click.option("-f", "--follow", is_flag=True,
              help="Of a job that moved away, show what it is now, not what was kept here.")
@with_settings
def show_command(
    settings: Settings, job: str, history: int | None, after: int | None, follow: bool
) -> None:
    """Show a job: status, counters, pending messages, history, journeys."""
    entries = (MANY if settings.json else FEW) if history is None else history
    body = settings.ask(Show(job, entries, after, follow=follow), job=job)
    settings.print(body, lambda: job_text(body))
