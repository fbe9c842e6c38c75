"""``sojourn logs``: what a job's routines printed and logged."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from sojourn.hosts.cli.common import Settings, job_argument, with_settings
from sojourn.hosts.connection import Body
from sojourn.runtime.wire.client import Logs


@click.command("logs")
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until the job ends.")
@with_settings
def logs_command(settings: Settings, job: str, follow: bool) -> None:
    """Show what a job's routines printed and logged, with the turn that each line belongs to."""

    def show(body: Body) -> None:
        for line in body["lines"]:
            if settings.json:
                click.echo(json.dumps(line))
                continue
            at = datetime.fromtimestamp(line["at"], UTC).strftime("%H:%M:%S.%f")[:-3]
            click.echo(
                f"{at} {line['routine']} #{line['message']}/{line['attempt']} {line['stream']}: "
                f"{line['text']}"
            )

    settings.ask(Logs(job, follow), job=job, on_progress=show)
