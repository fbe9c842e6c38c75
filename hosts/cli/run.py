"""``sojourn run``: submit, follow, print the result; with a supervisor of its own where none runs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import click

from sojourn.hosts.cli.common import Settings, interrupted, read_input, with_settings
from sojourn.hosts.connection import Body
from sojourn.hosts.home import Home
from sojourn.hosts.orphans import supervisor_pid
from sojourn.runtime.errors import HostUnable
from sojourn.runtime.wire.client import Down, Submit, Wait


@click.command("run")
@click.argument("flow", metavar="MODULE:ATTR")
@click.option("--input", "input_", metavar="JSON", help="Fields for the entry's slot `input`.")
@click.option("--job-id", metavar="ID", help="The job's id: an interrupted run goes on under it.")
@with_settings
def run_command(settings: Settings, flow: str, input_: str | None, job_id: str | None) -> int:
    """Start a job, follow it, print its result as JSON and exit with it.

    Where no supervisor runs on the home, one is started for the time of the run; the home stays, so that
    an interrupted run goes on with the next.
    """
    data = read_input(input_)
    home = Home.choose(settings.home)
    embedded = None
    if settings.host is None and supervisor_pid(home) is None:
        embedded = _start(home)
    try:
        job = settings.ask(Submit(flow, None, [data], [job_id]))["job_ids"][0]
        click.echo(f"job {job}", err=True)
        document = _follow(settings, job)
    finally:
        if embedded is not None:
            _stop(settings, embedded)
    settings.print(document, lambda: json.dumps(document["result"], indent=2))
    if document["status"] == "completed":
        return 0
    error = document["error"]
    why = f": {error['type']}: {error['message']}" if error else ""
    click.echo(f"error: job {job} {document['status']} on host {document['host']}{why}", err=True)
    return 1


def _follow(settings: Settings, job: str) -> dict[str, Any]:
    def show(body: Body) -> None:
        event = body["event"]
        if event is None:
            click.echo(f"  {body['status']} on {body['host']}", err=True)
        elif event["outcome"] != "succeeded":
            click.echo(
                f"  {event['routine']} #{event['message']}: attempt {event['attempt']} "
                f"{event['outcome']}",
                err=True,
            )

    try:
        found: dict[str, Any] = settings.ask(Wait([job], follow=True), on_progress=show)["jobs"][0]
    except KeyboardInterrupt:
        interrupted(settings, job)
    return found


def _start(home: Home) -> subprocess.Popen[str]:
    """Start a supervisor for this run and wait until it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sojourn.hosts.cli", "up", "--home", str(home.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    if not process.stdout.readline().startswith("ready"):
        _, complaint = process.communicate()
        raise HostUnable(
            f"no supervisor runs on {home.root}, and none could be started: {complaint.strip()}"
        )
    return process


def _stop(settings: Settings, process: subprocess.Popen[str]) -> None:
    """Stop it; what hasn't ended goes on with the next run on this home."""
    if process.poll() is None:
        settings.ask(Down())
        process.communicate()
