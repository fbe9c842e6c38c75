"""``sojourn show``: one job."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, job_argument, with_settings
from sojourn.hosts.cli.render import job_text
from sojourn.runtime.wire.client import Show


@click.command("show")
@job_argument
@click.option("--history", type=click.IntRange(0), default=100, show_default=True, metavar="N",
              help="How many history entries.")
@click.option("--after", type=click.IntRange(0), metavar="SEQ", help="Those after this one.")
@with_settings
def show_command(settings: Settings, job: str, history: int, after: int | None) -> None:
    """Show a job: status, counters, pending messages, history, journeys."""
    body = settings.ask(Show(job, history, after))
    settings.print(body, lambda: job_text(body))
