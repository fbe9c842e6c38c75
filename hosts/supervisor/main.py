"""Starting and stopping a supervisor: claim the home, open the store, run rounds until told to stop."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time

import structlog
import zmq

from sojourn.hosts.descriptors import ENOUGH, take_descriptors
from sojourn.hosts.home import Home
from sojourn.hosts.options import UpOptions
from sojourn.hosts.orphans import claim_home
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.hosts.supervisor.assembly import Supervisor
from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.doors import LocalDoors
from sojourn.hosts.supervisor.journal import open_journal
from sojourn.hosts.supervisor.leaving import Leaving, Signals
from sojourn.hosts.supervisor.processes import LocalProcesses
from sojourn.hosts.supervisor.service import Service
from sojourn.runtime.errors import HostUnable, StoreFailed

EXIT_STORE_FAILED = StoreFailed.exit_code

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
    try:
        open_journal(home, options.name, quiet=options.quiet)
    except OSError as error:
        raise home.unwritable(error) from error
    log = structlog.get_logger()
    store = SqliteStore.open(home.store, clock=time.time)
    signals = Signals()
    service = Service()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        core = Core(options, home, store)
        descriptors, enough = take_descriptors()
        if enough < ENOUGH:
            log.warning(
                "few open files are allowed: a flood of connections could end this host",
                allowed=enough, better=f"ulimit -n {ENOUGH}",
            )
        doors = LocalDoors(context, home, signals.descriptor)
        supervisor = Supervisor(core, context, doors, LocalProcesses(descriptors))
        reactor, address = supervisor.reactor, supervisor.border.address()
        leaving = Leaving(core, signals, supervisor.cordoning, supervisor.draining, service)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        try:
            _warn_of_loss(home, store)
            supervisor.begin()
            _announce(options, address)
            service.tell("READY=1")
            log.info("ready", home=str(home.root), pid=os.getpid(), listen=address)
            while not leaving.due():
                reactor.run_round()
                supervisor.upkeep.look()
            log.info("stopping")
            service.tell("STOPPING=1")
            reactor.stop(options.grace, leaving.hurried)
        except StoreFailed as error:
            log.error("store failed", error=error.message)
            reactor.fleet.close(settled=False)
            print(f"error: {error.message}", file=sys.stderr)
            return EXIT_STORE_FAILED
    finally:
        context.destroy(linger=500)
        store.close()
        lock.release()
    log.info("stopped")
    return 0


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


def _warn_of_loss(home: Home, store: SqliteStore) -> None:
    if store.lost:
        print(
            f"warning: the store {home.store} lacks {store.lost} commits that were on disk: it was put "
            "back from a copy, or its write-ahead log was cut or taken away. Its jobs go on from an older "
            "state, as soon as every peer has said what it holds; what was recorded since may run again",
            file=sys.stderr, flush=True,
        )


def _announce(options: UpOptions, address: str | None) -> None:
    where = f" listening on {address}" if address else ""
    print(f"ready: host {options.name}, home {options.home}{where}, pid {os.getpid()}", flush=True)
