"""``sojourn run``: submit, follow, print the result; with a supervisor of its own where none runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import click

from sojourn.hosts.cli.common import (
    Settings,
    check_completed,
    priority_option,
    queue_news,
    read_input,
    with_settings,
)
from sojourn.hosts.cli.main import INTERRUPTED
from sojourn.hosts.cli.render import line_text
from sojourn.hosts.connection import Body
from sojourn.hosts.home import Home
from sojourn.hosts.orphans import supervisor_pid
from sojourn.runtime.errors import AlreadyRunning, HostUnable, NoSupervisor
from sojourn.runtime.wire.client import Down, Submit, Wait

OUTPUT = "run.out"
"""File among the home's logs with what the embedded supervisor printed."""


@click.command("run")
@click.argument("flow", metavar="MODULE:ATTR")
@click.option("--input", "input_", metavar="JSON", help="Fields for the entry's slot `input`.")
@click.option("--job-id", metavar="ID", help="The job's id: an interrupted run goes on under it.")
@priority_option
@with_settings
def run_command(
    settings: Settings, flow: str, input_: str | None, job_id: str | None, priority: int
) -> None:
    """Start a job, follow it, print its result as JSON and exit with it.

    Where no supervisor runs on the home, one is started for the time of the run; the home stays, so that
    an interrupted run goes on with the next.
    """
    submit = Submit(flow, None, [read_input(input_)], [job_id], priority)
    home = Home.choose(settings.home)
    if settings.host is None and supervisor_pid(home) is None:
        with _embedded(settings, home) as started:
            document = _run(settings, submit, home if started else None)
    else:
        document = _run(settings, submit, None)
    if settings.json or document["status"] == "completed":
        settings.print(document, lambda: json.dumps(document["result"], indent=2))
    check_completed(document)


def _run(settings: Settings, submit: Submit, stopping: Home | None) -> dict[str, Any]:
    """Submit and follow; ``stopping`` is the home whose supervisor won't outlive this run."""
    job: str | None = None
    try:
        # not Settings.ask: what an interruption means depends on whose supervisor it is
        connection = settings.connect()
        try:
            started: str = connection.request(submit, on_progress=queue_news())["job_ids"][0]
            job = started
            click.echo(f"job {job}", err=True)
            answer = connection.request(Wait([started], follow=True), on_progress=_tell(started))
        finally:
            connection.close()
    except KeyboardInterrupt:
        if stopping is None or job is None:
            raise settings.interrupted(job, acting=False) from None
        click.echo(
            f"interrupted: job {job} goes on with the next `sojourn run` or "
            f"`sojourn up --home {stopping.root}`",
            err=True,
        )
        raise click.exceptions.Exit(INTERRUPTED) from None
    document: dict[str, Any] = answer["jobs"][0]
    return document


def _tell(job: str) -> Callable[[Body], None]:
    """Give what writes news of the job to stderr."""

    def show(body: Body) -> None:
        event = body["event"]
        if event is None:
            hint = f": `sojourn show {job}` tells why" if body["status"] in ("paused", "blocked") else ""
            click.echo(f"  {body['status']} on {body['host']}{hint}", err=True)
        elif event["outcome"] != "succeeded":
            turn = f"{event['routine']} #{event['message']}"
            click.echo(f"  {turn}: attempt {event['attempt']} {event['outcome']}", err=True)

    return show


@contextmanager
def _embedded(settings: Settings, home: Home) -> Generator[bool]:
    """Run a supervisor meanwhile. Gives False where somebody else's came first and is used."""
    home.create()
    with (home.logs / OUTPUT).open("wb") as output:
        # Its own session: Ctrl-C is for this command, which then stops it in order.
        process = subprocess.Popen(
            [sys.executable, "-m", "sojourn.hosts.cli", "up", "--home", str(home.root), "-o", "table"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, start_new_session=True,
        )
    assert process.stdout is not None
    with process, _ending_signals():
        try:
            ready = process.stdout.readline().startswith(b"ready")
            if not ready and process.wait() != AlreadyRunning.exit_code:
                said = (home.logs / OUTPUT).read_text(errors="replace")
                why = line_text(said).removeprefix("error: ")
                raise HostUnable(f"no supervisor runs on {home.root}, and none could be started: {why}")
            yield ready
        finally:
            _stop(settings, process)


@contextmanager
def _ending_signals() -> Generator[None]:
    """Let SIGTERM and the terminal's end act like Ctrl-C, so that the supervisor is stopped then too."""
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # as under nohup
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    """Stop it; what hasn't ended goes on with the next run on this home."""
    if process.poll() is not None:
        return
    try:
        settings.ask(Down())
    except NoSupervisor:
        process.terminate()  # not ready yet, or on its way out
    process.wait()
