"""``sojourn pause``, ``cancel``, ``retry`` and ``forget``: the acting commands that take a job alone."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, job_argument, with_settings
from sojourn.runtime.wire.client import Cancel, Command, Forget, Pause, Retry


def _act(settings: Settings, command: Command, job: str) -> None:
    body = settings.ask(command, job=job)
    settings.print(body, f"{body['job_id']} {body['status']}")


@click.command("pause")
@job_argument
@with_settings
def pause_command(settings: Settings, job: str) -> None:
    """Let no new turn of a job start; returns once the turns in flight have ended."""
    _act(settings, Pause(job), job)


@click.command("cancel")
@job_argument
@with_settings
def cancel_command(settings: Settings, job: str) -> None:
    """Cancel a job: turns in flight end at a safe point, or are killed after their grace."""
    _act(settings, Cancel(job), job)


@click.command("retry")
@job_argument
@with_settings
def retry_command(settings: Settings, job: str) -> None:
    """Give a failed job's messages a fresh budget, or take a blocked job up again."""
    _act(settings, Retry(job), job)


@click.command("forget")
@job_argument
@with_settings
def forget_command(settings: Settings, job: str) -> None:
    """Delete a finished job; its id can't be used again."""
    _act(settings, Forget(job), job)
