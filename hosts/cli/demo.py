"""``sojourn demo``: the demonstration, with two real supervisors."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, with_settings


@click.command("demo")
@click.option("--workdir", metavar="DIR", help="Where homes and files go.  [default: a temporary folder]")
@click.option("--keep", is_flag=True, help="Keep that folder.")
@with_settings
def demo_command(settings: Settings, workdir: str | None, keep: bool) -> int:
    """A failing job moves between two supervisors while it runs; every claim is checked."""
    settings.only_here("demo")
    from sojourn.hosts.demo import run_demo  # noqa: PLC0415 - only here

    return run_demo(workdir=workdir, keep=keep, for_machines=settings.json)
