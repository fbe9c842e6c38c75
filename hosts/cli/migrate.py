"""``sojourn migrate``: move running jobs to another host."""

from __future__ import annotations

import sys
from typing import Any

import click

from sojourn.hosts.cli.common import Settings, complete_job, read_seconds, with_settings
from sojourn.hosts.cli.render import handoff_text, size_text
from sojourn.hosts.connection import Body
from sojourn.runtime.wire.client import Migrate


@click.command("migrate")
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True, shell_complete=complete_job)
@click.option("--to", required=True, metavar="HOST", help="The paired host that takes them.")
@click.option("--grace", type=float, metavar="S", callback=read_seconds,
              help="Seconds that turns in flight get.  [default: their routine's, or the host's]")
@click.option("--allow-code-drift", is_flag=True, help="Accept different code on the target.")
@with_settings
def migrate_command(
    settings: Settings, jobs: tuple[str, ...], to: str, grace: float | None, allow_code_drift: bool
) -> None:
    """Move jobs to another host while they run, one after another."""
    moved: list[dict[str, Any]] = []
    for job in jobs:
        progress = _Progress(job)
        body = settings.watch(
            Migrate(job, to, grace, allow_code_drift), job, on_progress=progress.show
        )
        progress.end()
        moved.append(body)
        if not settings.json:
            click.echo(f"moved {body['job_id']} from {handoff_text(body)}")
    if settings.json:
        settings.print(moved, "")


class _Progress:
    """Phases and bytes of a move, on one line of a terminal or as plain lines."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._terminal = sys.stderr.isatty()

    def show(self, body: Body) -> None:
        """Show where a move is."""
        text = f"{self._job}: {body['phase']}"
        if body.get("total_bytes"):
            text += f" {size_text(body['bytes'])} of {size_text(body['total_bytes'])}"
        click.echo(f"\r\x1b[K{text}" if self._terminal else text, nl=not self._terminal, err=True)

    def end(self) -> None:
        """Clear the line."""
        if self._terminal:
            click.echo("\r\x1b[K", nl=False, err=True)
