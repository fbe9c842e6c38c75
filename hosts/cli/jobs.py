"""``sojourn jobs``: list jobs."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, with_settings
from sojourn.hosts.cli.render import jobs_text
from sojourn.hosts.connection import Body
from sojourn.runtime.wire.client import Jobs


@click.command("jobs")
@with_settings
def jobs_command(settings: Settings) -> None:
    """List the jobs that this host knows, newest first."""
    body = settings.ask(Jobs())
    settings.print(body["jobs"], lambda: _text(body))


def _text(body: Body) -> str:
    text = jobs_text(body["jobs"])
    if not body.get("cordoned"):
        return text
    return (
        f"{text}\n\nhost {body['host']} is cordoned: it takes no new jobs; `sojourn uncordon` lets it again"
    )
