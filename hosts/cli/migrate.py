"""``sojourn migrate``: move running jobs to another host."""

from __future__ import annotations

from typing import Any

import click

from sojourn.hosts.cli.common import (
    Settings,
    complete_host,
    complete_job,
    read_milliseconds,
    read_seconds,
    with_settings,
)
from sojourn.hosts.cli.progress import move_shown
from sojourn.hosts.cli.render import handoff_text
from sojourn.runtime.wire.client import Migrate


@click.command("migrate")
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True, shell_complete=complete_job)
@click.option("--to", required=True, metavar="HOST", shell_complete=complete_host,
              help="The paired host that takes them.")
@click.option("--grace", type=float, metavar="S", callback=read_seconds,
              help="Seconds that turns in flight get.  [default: their routine's, or the host's]")
@click.option("--max-downtime", type=float, metavar="MS", callback=read_milliseconds,
              help="Copy until the job would be frozen for less than this, or leave it where it is.")
@click.option("--allow-code-drift", is_flag=True, help="Accept different code on the target.")
@with_settings
def migrate_command(
    settings: Settings, jobs: tuple[str, ...], to: str, grace: float | None, max_downtime: float | None,
    allow_code_drift: bool,
) -> None:
    """Move jobs to another host while they run, one after another; the first that doesn't move ends it."""
    moved: list[dict[str, Any]] = []
    try:
        for job in jobs:
            with move_shown(job) as show:
                body = settings.ask(
                    Migrate(job, to, grace, allow_code_drift, max_downtime), job=job, on_progress=show
                )
            moved.append(body)
            if not settings.json:
                click.echo(f"moved {body['job_id']} from {handoff_text(body)}")
    finally:
        # also where a later one failed: these did move
        if settings.json:
            settings.print(moved, "")
