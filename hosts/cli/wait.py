"""``sojourn wait``: wait for a job's end or a condition."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, check_completed, job_argument, read_seconds, with_settings
from sojourn.hosts.cli.render import status_text
from sojourn.runtime.errors import WorkFailed
from sojourn.runtime.wire.client import Wait


@click.command("wait")
@job_argument
@click.option("--timeout", type=float, metavar="S", callback=read_seconds, help="Seconds at most.")
@click.option("--until", metavar="EXPR",
              help="A condition, like 'failing.retry_count >= 2'; see the documentation.")
@with_settings
def wait_command(settings: Settings, job: str, timeout: float | None, until: str | None) -> None:
    """Wait until a job has completed, failed or was cancelled, or until a condition holds."""
    body = settings.ask(Wait([job], until, timeout), job=job)
    document = body["jobs"][0]
    settings.print(document, lambda: f"{document['job_id']} {status_text(document['status'])}")
    if until is None:
        check_completed(document)
    elif not body["held"]:
        raise WorkFailed(
            f"job {document['job_id']} {document['status']} on host {document['host']!r} before "
            f"{until!r} held; `sojourn show {document['job_id']}` tells more"
        )
