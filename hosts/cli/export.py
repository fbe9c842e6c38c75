"""``sojourn export``: a job into a file."""

from __future__ import annotations

from pathlib import Path

import click

from sojourn.hosts.cli.common import Settings, job_argument, with_settings
from sojourn.hosts.files import write_document
from sojourn.runtime.errors import UsageError
from sojourn.runtime.wire.client import Export


@click.command("export")
@job_argument
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--release", is_flag=True, help="Let the job go: only the host --to may take it.")
@click.option("--to", metavar="HOST", help="The paired host that the file is for.")
@with_settings
def export_command(
    settings: Settings, job: str, file: Path, release: bool, to: str | None
) -> None:
    """Write a job, complete with flow, state and history, into FILE."""
    if release != (to is not None):
        raise UsageError("--release and --to HOST belong together: a released file is for one host")
    if release:
        body = settings.ask(Export(job, str(file.absolute()), to))
        settings.print(
            body,
            f"{body['job_id']} released to {to} with {body['path']} on host {body['host']}: bring the file "
            f"there, then `sojourn import`",
        )
        return
    document = settings.ask(Export(job))["document"]
    write_document(file.absolute(), document)
    settings.print({"job_id": document["job"]["job_id"], "file": str(file)}, str(file))
