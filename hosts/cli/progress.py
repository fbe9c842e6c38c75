"""What people see on stderr while something takes its time; machines and files get plain lines or nothing.

Prints no data: that goes to stdout, by the command itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event, Thread

import click

from sojourn.hosts.cli.render import size_text
from sojourn.hosts.connection import Body

Show = Callable[[Body], None]

PATIENCE = 1.0
"""Seconds before a person is told what is waited for."""


@contextmanager
def waiting_shown(text: str) -> Generator[None]:
    """On a terminal, say what is waited for once it takes longer than a moment.

    Args:
        text: one line.
    """
    if not sys.stderr.isatty():
        yield
        return
    over = Event()
    teller = Thread(target=_tell, args=(text, over), daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _tell(text: str, over: Event) -> None:
    if over.wait(PATIENCE):
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and for terminals only
    from rich.markup import escape  # noqa: PLC0415

    with Console(stderr=True).status(escape(text)):
        over.wait()


@contextmanager
def move_shown(job: str) -> Generator[Show]:
    """Show phases and bytes of a move: a bar on a terminal, else a line per phase.

    Args:
        job: whose.
    """
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


@contextmanager
def moves_shown() -> Generator[Show]:
    """Show phases of several moves: one line that changes on a terminal, else a line per job and phase."""
    lines: dict[str, Show] = {}
    if not sys.stderr.isatty():

        def show(body: Body) -> None:
            job = body["job_id"]
            lines.setdefault(job, _lines(job))(body)

        yield show
        return
    with counts_shown("migrate") as say:
        yield lambda body: say(f"{body['job_id']}: {body['phase']}")


@contextmanager
def counts_shown(verb: str) -> Generator[Callable[[str], None]]:
    """Show how far something is: one line that changes on a terminal, else a line now and then.

    Args:
        verb: what is done.
    """
    if not sys.stderr.isatty():
        yield _now_and_then(verb)
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and for terminals only
    from rich.markup import escape  # noqa: PLC0415

    with Console(stderr=True).status(escape(f"{verb} …")) as status:
        yield lambda text: status.update(escape(f"{verb}: {text}"))


def _now_and_then(verb: str) -> Callable[[str], None]:
    said = [float("-inf")]

    def say(text: str) -> None:
        now = time.monotonic()
        if now - said[0] >= PATIENCE:
            said[0] = now
            click.echo(f"{verb}: {text}", err=True)

    return say


def _lines(job: str) -> Show:
    seen: list[str] = []

    def show(body: Body) -> None:
        if body["phase"] in seen[-1:]:
            return
        seen.append(body["phase"])
        size = f", {size_text(body['total_bytes'])} to send" if body["total_bytes"] else ""
        click.echo(f"{job}: {body['phase']}{size}", err=True)

    return show
