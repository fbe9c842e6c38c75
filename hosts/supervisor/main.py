"""Starting and stopping a supervisor: claim the home, open the store, run rounds until told to stop."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time

import structlog
import zmq

from sojourn.hosts.home import Home
from sojourn.hosts.options import UpOptions
from sojourn.hosts.orphans import claim_home
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.hosts.supervisor.batches import Batches
from sojourn.hosts.supervisor.border import Border
from sojourn.hosts.supervisor.cordoning import Cordoning
from sojourn.hosts.supervisor.core import Asker, Core
from sojourn.hosts.supervisor.draining import Draining
from sojourn.hosts.supervisor.journal import open_journal
from sojourn.hosts.supervisor.leaving import Leaving, Signals
from sojourn.hosts.supervisor.moves import Moves
from sojourn.hosts.supervisor.reactor import Reactor
from sojourn.hosts.supervisor.resolving import Resolving
from sojourn.hosts.supervisor.service import Service
from sojourn.hosts.supervisor.upkeep import Upkeep
from sojourn.runtime.errors import HostUnable, StoreFailed
from sojourn.runtime.wire.whole_hosts import Cordon, Drain, MigrateMany

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
    open_journal(home, options.name, quiet=options.quiet)
    log = structlog.get_logger()
    store = SqliteStore.open(home.store, clock=time.time)
    signals = Signals()
    service = Service()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        core = Core(options, home, store)
        reactor = Reactor(core, context, signals.descriptor)
        address, moves = attach_peers(reactor, core, context)
        leaving = Leaving(core, signals, *attach_drains(reactor, core, moves), service)
        upkeep = Upkeep(core, moves.under_way)
        _be_sure(core, moves, {peer.name for peer in store.peers()})
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        try:
            reactor.load_jobs()
            _announce(options, address)
            service.tell("READY=1")
            log.info("ready", home=str(home.root), pid=os.getpid(), listen=address)
            while not leaving.due():
                reactor.run_round()
                upkeep.look()
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


def attach_peers(
    reactor: Reactor, core: Core, context: zmq.Context[zmq.Socket[bytes]]
) -> tuple[str | None, Moves]:
    """Give the reactor the parts that speak with peers and carry hand-offs out.

    Returns:
        The address that peers can dial, if there is one, and the hand-offs.
    """
    border = Border(core, reactor.desk, context)
    moves = Moves(core, reactor.desk, reactor.fleet, border)
    border.handoffs = moves
    reactor.desk.border = border
    reactor.desk.moves = moves
    reactor.desk.resolving = Resolving(core, moves, moves.contests, border, reactor.desk)
    reactor.parts = [border, moves]
    return border.address(), moves


def attach_drains(reactor: Reactor, core: Core, moves: Moves) -> tuple[Cordoning, Draining]:
    """Give the reactor the parts that move many jobs, or all of them."""
    desk, border = reactor.desk, moves.border
    draining = Draining(core, desk, moves, border, desk.errands)
    cordoning = Cordoning(core, desk, border, moves.arrivals, draining)
    batches = Batches(core, desk, border, desk.errands)

    def drain(asker: Asker, command: Drain) -> None:
        draining.check(command)
        cordoning.put(on=True)
        draining.begin(asker, command)

    desk.serve(Cordon, cordoning.command)
    desk.serve(Drain, drain)
    desk.serve(MigrateMany, batches.begin)
    desk.also_gone(draining.gone)
    reactor.parts.append(draining)
    return cordoning, draining


def _be_sure(core: Core, moves: Moves, peers: set[str]) -> None:
    """Before anything runs: is this store the newest that this host had?"""
    store = core.store
    if store.restored and core.options.accept_restored:
        core.round.writes.meta_put["restored"] = "0"
        store.restored = False
        core.log.warning("a store that was put back from a copy is accepted")
    if store.restored:
        core.log.warning("the store was put back from a copy: its jobs wait for the word of every peer")
        moves.contests.withhold_restored(store.live_jobs(), peers)
    moves.contests.close_gate(peers)


def _announce(options: UpOptions, address: str | None) -> None:
    where = f" listening on {address}" if address else ""
    print(f"ready: host {options.name}, home {options.home}{where}, pid {os.getpid()}", flush=True)
