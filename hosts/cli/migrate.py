"""``sojourn migrate``: move running jobs to another host."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import click

from sojourn.hosts.cli.common import Settings, complete_host, complete_job, read_seconds, with_settings
from sojourn.hosts.cli.render import handoff_text, size_text
from sojourn.hosts.connection import Body
from sojourn.runtime.wire.client import Migrate

Show = Callable[[Body], None]


@click.command("migrate")
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True, shell_complete=complete_job)
@click.option("--to", required=True, metavar="HOST", shell_complete=complete_host,
              help="The paired host that takes them.")
@click.option("--grace", type=float, metavar="S", callback=read_seconds,
              help="Seconds that turns in flight get.  [default: their routine's, or the host's]")
@click.option("--allow-code-drift", is_flag=True, help="Accept different code on the target.")
@with_settings
def migrate_command(
    settings: Settings, jobs: tuple[str, ...], to: str, grace: float | None, allow_code_drift: bool
) -> None:
    """Move jobs to another host while they run, one after another; the first that doesn't move ends it."""
    moved: list[dict[str, Any]] = []
    try:
        for job in jobs:
            with _progress(job) as show:
                body = settings.ask(
                    Migrate(job, to, grace, allow_code_drift), job=job, on_progress=show
                )
            moved.append(body)
            if not settings.json:
                click.echo(f"moved {body['job_id']} from {handoff_text(body)}")
    finally:
        # also where a later one failed: these did move
        if settings.json:
            settings.print(moved, "")


@contextmanager
def _progress(job: str) -> Generator[Show]:
    """Show phases and bytes of a move on stderr: a bar on a terminal, else a line per phase."""
    if not sys.stderr.isatty():
        yield _lines(job)
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and for terminals only
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(job, total=None)

        def show(body: Body) -> None:
            bar.update(
                task, description=f"{job}: {body['phase']}", completed=body["bytes"],
                total=body["total_bytes"] or None,
            )

        yield show


def _lines(job: str) -> Show:
    seen: list[str] = []

    def show(body: Body) -> None:
        if body["phase"] in seen[-1:]:
            return
        seen.append(body["phase"])
        size = f", {size_text(body['total_bytes'])} to send" if body["total_bytes"] else ""
        click.echo(f"{job}: {body['phase']}{size}", err=True)

    return show
