"""Starting a supervisor: claim the home, look its store through, and hand over to its run.

Imports little, so that the store is looked through while the rest is imported.
"""

from __future__ import annotations

import gc
import subprocess
import sys

from sojourn.hosts.home import Home
from sojourn.hosts.options import UpOptions
from sojourn.hosts.orphans import claim_home
from sojourn.hosts.store.soundness import Look
from sojourn.hosts.supervisor.plain_logging import import_structlog
from sojourn.runtime.errors import HostUnable

INTERPRETER_SECONDS = 30.0
"""Patience with another interpreter that is asked whether it has sojourn."""


def run_supervisor(options: UpOptions) -> int:
    """Run a host's supervisor in the foreground until SIGTERM, Ctrl-C or ``sojourn down``.

    Args:
        options: what ``up`` was asked for.

    Returns:
        The exit code.

    Raises:
        SojournError: if it can't start; nothing was changed then.
    """
    check_interpreter(options.python)
    home = Home(options.home)
    home.create()
    lock = claim_home(home)
    look = Look(home.store)
    try:
        gc.disable()  # until everything is loaded: nearly all that is made by then stays
        import_structlog()
        from sojourn.hosts.supervisor.running import run  # noqa: PLC0415 - while the store is looked through

        return run(options, home, look)
    finally:
        gc.enable()
        lock.release()


def check_interpreter(python: str) -> None:
    """See that routines can run under an interpreter, before any job is blocked because they can't.

    Raises:
        HostUnable: if it has no sojourn, or is no Python.
    """
    if python in ("", sys.executable):
        return
    try:
        done = subprocess.run(
            [python, "-P", "-c", "import sojourn.actors.zygote; print('can')"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
            timeout=INTERPRETER_SECONDS,
        )
        can = done.stdout.strip() == "can"
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        can, why = False, str(error)
    if not can:
        raise HostUnable(
            f"--python {python} can't run routines ({why}): name an interpreter of an environment where "
            "sojourn is installed"
        )
