"""How the parts of a supervisor fit together, whatever its sockets, processes and clocks are.

Opens nothing, and runs nothing by itself: whoever assembles gives the outside and calls for rounds.
"""

from __future__ import annotations

import zmq

from sojourn.hosts.peers.protocol import Connect
from sojourn.hosts.supervisor.batches import Batches
from sojourn.hosts.supervisor.border import Border
from sojourn.hosts.supervisor.cordoning import Cordoning
from sojourn.hosts.supervisor.core import Asker, Core
from sojourn.hosts.supervisor.doors import Doors
from sojourn.hosts.supervisor.draining import Draining
from sojourn.hosts.supervisor.moves import Moves
from sojourn.hosts.supervisor.processes import Processes
from sojourn.hosts.supervisor.reactor import Reactor
from sojourn.hosts.supervisor.resolving import Resolving
from sojourn.hosts.supervisor.upkeep import Upkeep
from sojourn.hosts.supervisor.whereabouts import Whereabouts
from sojourn.runtime.wire.whole_hosts import Cordon, Drain, MigrateMany


class Supervisor:
    """All parts of one.

    Args:
        core: shared state.
        context: of the sockets of those who pair and are paired.
        doors: where actor processes and clients come in.
        processes: makes zygotes and takes hold of what they fork.
        connect: makes the connections to peers; None for TCP.

    Raises:
        HostUnable: if the address for peers can't be listened on.
    """

    def __init__(
        self, core: Core, context: zmq.Context[zmq.Socket[bytes]], doors: Doors,
        processes: Processes, connect: Connect | None = None,
    ) -> None:
        self.core = core
        self.reactor = Reactor(core, doors, processes)
        desk, fleet = self.reactor.desk, self.reactor.fleet
        self.border = Border(core, desk, context, connect)
        self.moves = Moves(core, desk, fleet, self.border)
        self.border.handoffs = self.moves
        desk.border = self.border
        desk.moves = self.moves
        desk.whereabouts = Whereabouts(core, self.moves.contests, self.border)
        desk.resolving = Resolving(core, self.moves, self.moves.contests, self.border, desk)
        self.draining = Draining(core, desk, self.moves, self.border, desk.errands)
        self.cordoning = Cordoning(core, desk, self.border, self.moves.arrivals, self.draining)
        self.reactor.parts = [self.border, self.moves, self.draining]
        self._serve_whole_hosts()
        self.upkeep = Upkeep(core, self.moves.under_way)

    def _serve_whole_hosts(self) -> None:
        """Have the commands answered that move many jobs, or all of them."""
        desk = self.reactor.desk
        desk.serve(Cordon, self.cordoning.command)
        desk.serve(Drain, self._drain)
        desk.serve(MigrateMany, Batches(self.core, desk, self.border, desk.errands).begin)
        desk.also_gone(self.draining.gone)

    def _drain(self, asker: Asker, command: Drain) -> None:
        self.draining.check(command)
        self.cordoning.put(on=True)
        self.draining.begin(asker, command)

    def begin(self) -> None:
        """Take up what the store holds: nothing runs of which it isn't certain whose it is."""
        self._be_sure()
        self.reactor.load_jobs()

    def _be_sure(self) -> None:
        """Before anything runs: is this store the newest that this host had?"""
        core = self.core
        store = core.store
        peers = self.border.names()
        if store.restored and core.options.accept_restored:
            core.round.writes.meta_put |= {"restored": "0", "accepted": "1"}
            core.accepted = True
            store.restored = False
            core.log.warning("a store that was put back from a copy is accepted")
        if store.lost:
            core.log.warning("the store lost commits", commits=store.lost)
        if store.restored:
            core.log.warning("the store was put back from a copy: its jobs wait for the word of every peer")
            self.moves.contests.withhold_restored(store.live_jobs(), peers)
        self.moves.contests.close_gate(peers)
