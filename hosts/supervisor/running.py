"""One run of a supervisor on a home that is claimed: open the store, run rounds until told to stop."""

from __future__ import annotations

import gc
import os
import sys
import time

import structlog
import zmq

from sojourn.hosts.clock_watch import ClockWatch
from sojourn.hosts.descriptors import ENOUGH, take_descriptors
from sojourn.hosts.home import Home
from sojourn.hosts.options import UpOptions
from sojourn.hosts.peers.keys import Keys, is_own_run, name_run
from sojourn.hosts.store.soundness import Look
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.hosts.supervisor.assembly import Supervisor
from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.doors import LocalDoors
from sojourn.hosts.supervisor.journal import open_journal
from sojourn.hosts.supervisor.leaving import Leaving, Signals
from sojourn.hosts.supervisor.processes import LocalProcesses
from sojourn.hosts.supervisor.service import Service
from sojourn.runtime.errors import StoreFailed

EXIT_STORE_FAILED = StoreFailed.exit_code


def run(options: UpOptions, home: Home, look: Look) -> int:
    """Run a host until SIGTERM, Ctrl-C or ``sojourn down``.

    Args:
        options: what ``up`` was asked for.
        home: claimed by this process.
        look: through its store.

    Returns:
        The exit code.

    Raises:
        SojournError: if it can't start; nothing was changed then.
    """
    try:
        open_journal(home, options.name, quiet=options.quiet)
    except OSError as error:
        raise home.unwritable(error) from error
    log = structlog.get_logger()
    store = SqliteStore.open(home.store, clock=time.time, look=look)
    signals = Signals()
    clock = ClockWatch()
    service = Service()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        core = Core(options, home, store)
        _name_run(core, Keys.load_or_create(home.keys))
        descriptors, enough = take_descriptors()
        if enough < ENOUGH:
            log.warning(
                "few open files are allowed: a flood of connections could end this host",
                allowed=enough, better=f"ulimit -n {ENOUGH}",
            )
        doors = LocalDoors(context, home, signals.descriptor, clock.descriptor)
        supervisor = Supervisor(core, context, doors, LocalProcesses(descriptors))
        reactor, address = supervisor.reactor, supervisor.border.address()
        leaving = Leaving(core, signals, supervisor.cordoning, supervisor.draining, service)
        try:
            _warn_of_loss(home, store)
            supervisor.begin()
            # What is here by now mostly stays, a job that waits included: no collection looks at it again.
            gc.freeze()
            gc.set_threshold(50_000, 20, 50)
            gc.enable()
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
        clock.close()
        store.close()
    log.info("stopped")
    return 0


def _name_run(core: Core, keys: Keys) -> None:
    """Give this run a name that nobody else can have made, and know the names of earlier ones."""
    store_id = core.store.store_id
    core.run = name_run(keys, store_id, core.store.incarnation)
    core.knows_run = lambda seen: is_own_run(keys, store_id, seen.incarnation, seen.run)


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
