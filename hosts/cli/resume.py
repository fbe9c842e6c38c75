"""``sojourn resume``: lift a pause, or answer a question."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, job_argument, read_input, with_settings
from sojourn.runtime.errors import UsageError
from sojourn.runtime.wire.client import Resume


@click.command("resume")
@job_argument
@click.option("--input", "input_", metavar="JSON", help="The answer to an open question.")
@click.option("--question", metavar="ID", help="Which one, where several are open.")
@with_settings
def resume_command(
    settings: Settings, job: str, input_: str | None, question: str | None
) -> None:
    """Lift a pause; with --input answer an open question instead, which leaves a pause in place."""
    if question is not None and input_ is None:
        raise UsageError("--question names a question to answer: give the answer with --input JSON")
    data = None if input_ is None else read_input(input_)
    body = settings.ask(Resume(job, data, question), job=job)
    settings.print(body, f"{body['job_id']} {body['status']}")
