"""``sojourn jobs``: list jobs."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, with_settings
from sojourn.hosts.cli.render import jobs_text
from sojourn.runtime.wire.client import Jobs


@click.command("jobs")
@with_settings
def jobs_command(settings: Settings) -> None:
    """List the jobs that this host knows, newest first."""
    body = settings.ask(Jobs())
    settings.print(body["jobs"], lambda: jobs_text(body["jobs"]))
