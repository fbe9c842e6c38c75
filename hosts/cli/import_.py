"""``sojourn import``: a job from a file."""

from __future__ import annotations

from pathlib import Path

import click

from sojourn.hosts.cli.common import Settings, with_settings
from sojourn.hosts.files import read_file
from sojourn.runtime.wire.client import Import


@click.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@with_settings
def import_command(settings: Settings, file: Path) -> None:
    """Take a job from FILE: released ones go on at their next epoch, others as a new job."""
    body = settings.ask(Import(read_file(file)))
    settings.print(body, body["job_id"])
