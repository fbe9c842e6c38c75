"""``sojourn up``: run this host's supervisor."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from pathlib import Path

import click

from sojourn.hosts.cli.common import Settings, read_seconds, with_settings
from sojourn.hosts.home import Home
from sojourn.hosts.options import DEFAULT_GRACE, IMPORT_TIMEOUT, RETAIN_JOBS, RETAIN_SECONDS, UpOptions
from sojourn.runtime.errors import NotFound, UsageError

UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
SPANS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LARGEST_PORT = 65535
SMALLEST_MEMORY = 32 * 1000**2
"""Bytes; an interpreter with ZeroMQ maps about 24 MB before it does anything."""

NUMBER = r"(\d{1,12}(?:\.\d{1,6})?)"


@click.command("up")
@click.option("--name", metavar="N", help="This host's name.  [default: its host name]")
@click.option("--listen", metavar="tcp://HOST:PORT", help="Where peers can dial this host.")
@click.option("--path", "paths", multiple=True, metavar="DIR", type=click.Path(),
              help="Import path of routines; the first is their working directory.  [default: .]")
@click.option("--allow", multiple=True, metavar="PREFIX",
              help="Installed packages whose routines may run.")
@click.option("--python", metavar="EXE", help="Interpreter for routines.  [default: this one]")
@click.option("--retain", metavar="SPAN[,COUNT]", default="30d,100000", show_default=True,
              help="How long, and how many, finished jobs are kept.")
@click.option("--grace", type=float, default=DEFAULT_GRACE, show_default=True, metavar="SECONDS",
              callback=read_seconds,
              help="How long turns in flight are waited for.")
@click.option("--import-timeout", type=float, default=IMPORT_TIMEOUT, show_default=True,
              metavar="SECONDS", callback=read_seconds, help="How long a code base may take to import.")
@click.option("--strict-code", is_flag=True, help="Block jobs whose code changed.")
@click.option("--accept-restored-store", is_flag=True,
              help="The store was put back from a copy: run its jobs without asking peers first.")
@click.option("--drain-to", metavar="HOST",
              help="SIGTERM first moves every job to this paired host; a second one stops at once.")
@click.option("--memory-limit", metavar="SIZE", help="Of each actor process, like 512M.")
@with_settings
def up_command(
    settings: Settings, name: str | None, listen: str | None, paths: tuple[str, ...],
    allow: tuple[str, ...], python: str | None, retain: str, grace: float, import_timeout: float,
    strict_code: bool, accept_restored_store: bool, drain_to: str | None, memory_limit: str | None,
) -> int:
    """Run this host's supervisor in the foreground; SIGTERM, Ctrl-C or `sojourn down` stop it."""
    settings.only_here("up")
    seconds, count = read_retention(retain)
    own_name = read_name(name)
    if drain_to == own_name:
        raise UsageError(f"--drain-to {drain_to}: that is this host itself; name a paired one")
    options = UpOptions(
        home=str(Home.choose(settings.home).root),
        name=own_name,
        listen=read_listen(listen),
        paths=tuple(read_path(path) for path in paths or (os.getcwd(),)),
        allow=allow,
        python=read_python(python),
        retain_seconds=seconds,
        retain_jobs=count,
        strict_code=strict_code,
        memory_limit=None if memory_limit is None else read_size(memory_limit),
        grace=grace,
        import_timeout=import_timeout,
        drain_to=drain_to,
        accept_restored=accept_restored_store,
    )
    from sojourn.hosts.supervisor.main import run_supervisor  # noqa: PLC0415 - heavy, only here

    return run_supervisor(options)


def read_name(name: str | None) -> str:
    """Check a host's name."""
    chosen = socket.gethostname().partition(".")[0] if name is None else name
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", chosen) is None:
        raise UsageError(
            f"{chosen!r} can't be a host's name: use letters, digits, dots, dashes and underscores "
            "with --name"
        )
    return chosen


def read_listen(listen: str | None) -> str | None:
    """Check an address to listen on."""
    if listen is None:
        return None
    match = re.fullmatch(r"tcp://(?:[^\s:/\[\]]+|\[[0-9a-fA-F:]+\]):(\d{1,5}|\*)", listen)
    if match is None or (match[1] != "*" and int(match[1]) > LARGEST_PORT):
        raise UsageError(f"{listen!r} is no address: write --listen tcp://HOST:PORT (port 0: any free one)")
    return listen


def read_path(path: str) -> str:
    """Check an import path."""
    found = Path(path).expanduser().absolute()
    if not found.is_dir():
        raise NotFound(f"--path {path}: there is no such folder")
    return str(found)


def read_python(python: str | None) -> str:
    """Find an interpreter."""
    if python is None:
        return sys.executable
    found = shutil.which(python)
    if found is None:
        raise NotFound(f"--python {python}: there is no such program")
    return os.path.abspath(found)  # links of a virtual environment must stay


def read_size(text: str) -> int:
    """Read a size like ``512M``."""
    match = re.fullmatch(NUMBER + r"\s*([kKmMgGtT]?)[bB]?", text.strip())
    size = 0 if match is None else int(float(match[1]) * UNITS[match[2].lower()])
    if size < SMALLEST_MEMORY:
        raise UsageError(
            f"--memory-limit {text!r} is no size of {SMALLEST_MEMORY // UNITS['m']}M or more: write "
            "something like 512M or 2G"
        )
    return size


def read_retention(text: str) -> tuple[float, int]:
    """Read ``30d,100000``, ``12h`` or ``5000``.

    Returns:
        Seconds, and a number of jobs.
    """
    seconds, count = RETAIN_SECONDS, RETAIN_JOBS
    for part in text.split(","):
        match = re.fullmatch(NUMBER + "([smhd]?)", part.strip())
        if match is None:
            raise UsageError(f"--retain {text!r} can't be read: write something like 30d,100000")
        if match[2]:
            seconds = float(match[1]) * SPANS[match[2]]
        elif match[1].isdecimal():
            count = int(match[1])
        else:
            raise UsageError(f"--retain {text!r}: a number of jobs is whole; for a span write like 1.5d")
    return seconds, count
