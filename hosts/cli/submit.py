"""``sojourn submit``: start a job."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, priority_option, queue_news, read_input, with_settings
from sojourn.runtime.wire.client import Submit


@click.command("submit")
@click.argument("flow", metavar="MODULE:ATTR")
@click.option("--input", "input_", metavar="JSON", help="Fields for the entry's slot `input`.")
@click.option("--job-id", metavar="ID", help="The job's id; the same id, flow and input is the same job.")
@priority_option
@with_settings
def submit_command(
    settings: Settings, flow: str, input_: str | None, job_id: str | None, priority: int
) -> None:
    """Start a job of the flow MODULE:ATTR, as the host finds it under its --path; print its id alone."""
    data = read_input(input_)
    body = settings.ask(Submit(flow, None, [data], [job_id], priority), on_progress=queue_news())
    settings.print({"job_id": body["job_ids"][0]}, body["job_ids"][0])
