"""Starting and stopping a supervisor: claim the home, open the store, run rounds until told to stop."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time

import structlog
import zmq

from sojourn.hosts.home import Home
from sojourn.hosts.options import UpOptions
from sojourn.hosts.orphans import claim_home
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.hosts.supervisor.border import Border
from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.journal import open_journal
from sojourn.hosts.supervisor.moves import Moves
from sojourn.hosts.supervisor.reactor import Reactor
from sojourn.hosts.supervisor.resolving import Resolving
from sojourn.hosts.supervisor.upkeep import Upkeep
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
    open_journal(home, options.name, quiet=options.quiet)
    log = structlog.get_logger()
    store = SqliteStore.open(home.store, clock=time.time)
    wake = _Signals()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        core = Core(options, home, store)
        reactor = Reactor(core, context, wake.descriptor)
        address, moves = attach_peers(reactor, core, context)
        upkeep = Upkeep(core, moves.under_way)
        _be_sure(core, moves, {peer.name for peer in store.peers() if peer.revoked_at is None})
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        try:
            reactor.load_jobs()
            _announce(options, address)
            log.info("ready", home=str(home.root), pid=os.getpid(), listen=address)
            while not (core.stopping or wake.asked):
                reactor.run_round()
                upkeep.look()
            log.info("stopping")
            reactor.stop(options.grace)
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


class _Signals:
    """SIGTERM, SIGINT and SIGHUP as something to poll."""

    def __init__(self) -> None:
        self.asked = False
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        self._ends = (ours, theirs)
        self.descriptor = ours.fileno()
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: object) -> None:
        self.asked = True


def _announce(options: UpOptions, address: str | None) -> None:
    where = f" listening on {address}" if address else ""
    print(f"ready: host {options.name}, home {options.home}{where}, pid {os.getpid()}", flush=True)
    # taken out: what routines start is no service of systemd's
    notify = os.environ.pop("NOTIFY_SOCKET", "")
    if notify:
        place = "\0" + notify[1:] if notify.startswith("@") else notify
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.sendto(b"READY=1", place)
        except OSError as error:
            structlog.get_logger().warning("nobody is told of readiness", socket=notify, error=str(error))
