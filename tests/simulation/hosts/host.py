"""A simulated host: the shipped supervisor, whole, between a simulated network, processes, disk and clocks.

What is real here is everything from the reactor inwards. A crash drops the supervisor where it stands; what
it finds when it starts again is what was durable.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import structlog
import zmq

from sojourn.hosts.home import Home
from sojourn.hosts.options import UpOptions
from sojourn.hosts.store.protocol import Store
from sojourn.hosts.supervisor.assembly import Supervisor
from sojourn.hosts.supervisor.codebases import LoadAnswer
from sojourn.hosts.supervisor.core import Asker, Core, ToPeer
from sojourn.hosts.supervisor.doors import Came
from sojourn.hosts.supervisor.nature import IsOver, Nature, Work
from sojourn.hosts.supervisor.reactor import LONGEST_POLL
from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.engine.inputs import Now, Round
from sojourn.runtime.errors import StoreFailed
from sojourn.runtime.job import PeerRow, Writes
from sojourn.runtime.wire import client as client_wire
from tests.simulation.hosts.clients import SimClient
from tests.simulation.hosts.disk import Fate
from tests.simulation.hosts.judge import Judge
from tests.simulation.hosts.network import Connector, Network, SimLinks
from tests.simulation.hosts.processes import SimProcesses
from tests.simulation.hosts.schedule import Died, Schedule, Violation

OpenStore = Callable[["SimHost", float], Store]

KEY = "q" * 40
SMALL = Bounds(mailbox=3, few=1, memory=3000)
"""Of the hosts of even seeds: a few messages fill a mailbox, and most of what waits is on disk alone."""

LONGEST_BESIDE = 0.03
"""Seconds that work beside the rounds takes at most."""


class SimDoors:
    """The sockets of processes and clients; see ``Doors``."""

    def __init__(self, host: SimHost) -> None:
        self._host = host
        self.actors: deque[list[bytes]] = deque()
        self.clients: deque[list[bytes]] = deque()

    def from_actors(self) -> Iterator[Came]:
        while self.actors:
            route, *frames = self.actors.popleft()
            yield Came(route, frames, True, lambda: "an actor process")

    def from_clients(self) -> Iterator[Came]:
        while self.clients:
            route, *frames = self.clients.popleft()
            yield Came(route, frames, True, lambda: "a client")

    def to_actor(self, name: str, frame: bytes) -> str | None:
        return self._host.to_process(name, frame)

    def to_client(self, client: bytes, frame: bytes) -> bool:
        self._host.to_client(frame)
        return True

    def wait(
        self, seconds: float, sockets: Iterable[zmq.Socket[bytes]], descriptors: Iterable[int]
    ) -> None:
        """The schedule waits."""

    def close(self) -> None:
        """Nothing is held."""


class Watch:
    """The last part of every reactor: says from when on a round's messages may leave (G1)."""

    def __init__(self, host: SimHost) -> None:
        self._host = host

    def sockets(self) -> list[zmq.Socket[bytes]]:
        return []

    def receive(self) -> None: ...
    def loaded(self, answer: LoadAnswer) -> None: ...

    def before_commit(self, round_: Round) -> None:
        self._host.may_send = not round_.writes

    def after_commit(self, committed: Round) -> None: ...
    def deliver(self, peer: str, messages: Sequence[ToPeer]) -> None: ...
    def deliver_relayed(self, asker: Asker, answer: client_wire.Answer) -> None: ...

    def tick(self) -> float | None:
        return None

    def close(self) -> None: ...


class SimHost:
    """One host.

    Args:
        name: its name.
        root: its home.
        schedule: time and chance.
        network: connects it.
        judge: watches it.
        open_store: opens what is durable of it.
        context: unused by anything simulated, needed by what pairs hosts.
    """

    def __init__(
        self, name: str, root: Path, schedule: Schedule, network: Network, judge: Judge,
        open_store: OpenStore, context: zmq.Context[zmq.Socket[bytes]],
    ) -> None:
        self.name = name
        self.home = Home(root)
        self.home.create()
        key = self.home.keys / "host.key"
        key.write_text(KEY)
        key.chmod(0o600)
        self.blobs = self.home.blobs
        self.schedule = schedule
        self._network = network
        self._judge = judge
        self._open_store = open_store
        self._context = context
        self._log = structlog.wrap_logger(
            structlog.ReturnLogger(), processors=[self._logged], cache_logger_on_first_use=True,
        )
        self.wall = 1_700_000_000.0 + schedule.draw(-5.0, 5.0)
        """What is added to true seconds for the wall clock."""
        self._monotonic = schedule.draw(10.0, 10_000.0)
        self._pace = schedule.chance.choice((0.0005, 0.002, 0.01, 0.03))
        """Longest time that it lets things come in before a round: the longer, the larger its rounds."""
        self.options = UpOptions(str(root), name, f"tcp://{name}:1", quiet=True, grace=2.0)
        self.client = SimClient(self, schedule)
        self.unloadable: set[tuple[str, ...]] = set()
        self.up = False
        self.links: SimLinks | None = None
        self.supervisor: Supervisor | None = None
        self.store: Store | None = None
        self.may_send = True
        self.broken_disk = False
        self._life = 0
        self._awake_at: float | None = None
        self._doors = SimDoors(self)
        self._processes: SimProcesses | None = None
        self._fuse = 0
        self._fates: deque[Fate] = deque()
        self.counts = {"rounds": 0, "deaths": 0, "commits": 0, **{fate.value: 0 for fate in Fate}}

    # --- clocks -----------------------------------------------------------------------------------

    def clocks(self) -> Now:
        """Read them."""
        now = self.schedule.now
        return Now(self.wall + now, self._monotonic + now)

    def _beside(self, work: Work) -> IsOver:
        """Let work beside the rounds end in a while; a crash ends it, too."""
        life, over = self._life, False

        def do() -> None:
            nonlocal over
            if life == self._life:
                work()
                over = True

        self.schedule.after(self.schedule.draw(0.0, LONGEST_BESIDE), do)
        return lambda: over

    # --- up and down ------------------------------------------------------------------------------

    def boot(self, peers: Iterable[str] = ()) -> None:
        """Start a supervisor on what is durable; ``peers`` at the first start only."""
        if self.up:
            return
        self.up = True
        self._life += 1
        self.schedule.note(self.name, "starts")
        self._doors = SimDoors(self)
        self.may_send = False
        self._processes = SimProcesses(self, self.schedule, self._judge)
        store = self.store = self._open_store(self, self.clocks().wall)
        if peers:
            writes = Writes()
            writes.peers_put = [
                PeerRow(peer, f"key of {peer}", f"tcp://{peer}:1", "", self.clocks().wall) for peer in peers
            ]
            store.commit(writes)
        chance = random.Random(self.schedule.chance.getrandbits(64))
        bounds = SMALL if self.schedule.seed % 2 == 0 else None
        core = Core(self.options, self.home, store, Nature(self.clocks, chance, self._beside), bounds)
        core.log = self._log
        connect = Connector(self, self._network, self._keep_links)
        self.supervisor = Supervisor(core, self._context, self._doors, self._processes, connect)
        self.supervisor.reactor.parts.append(Watch(self))
        self.supervisor.reactor.taken_up_at_once = 1
        self._alive(self.supervisor.begin)
        if self.up:
            self._network.connect_all()
            self.wake()
            self.client.ask_again()

    def _keep_links(self, links: SimLinks) -> None:
        self.links = links

    def crash(self, *, power: bool = False) -> None:
        """Die.

        Args:
            power: whether the machine dies with it: pages are stale, and nobody is told.
        """
        if not self.up:
            return
        self.schedule.note(self.name, "loses its power" if power else "dies")
        self.counts["deaths"] += 1
        self._fall(power=power)

    def _fall(self, *, power: bool) -> None:
        self.up = False
        self._life += 1
        self._awake_at = None
        self._fuse = 0
        self._fates.clear()
        assert self._processes is not None
        for name, page in self._processes.fall().items():
            path = self.home.pages / name
            if path.exists() and not power:
                path.write_bytes(page)
        self.links = None
        self.supervisor = None
        if self.store is not None:
            self.store.close()
        self._network.host_fell(self.name, silently=power)

    def _alive(self, action: Callable[[], None]) -> None:
        """Do something that may end this supervisor."""
        try:
            action()
        except Died:
            self.crash(power=self.schedule.happens(0.3))
        except StoreFailed as error:
            # as ``run_supervisor`` does: everything is killed, its pages stay, and it is started again
            self.schedule.note(self.name, f"stops: {error.message[:80]}")
            self.counts["deaths"] += 1
            self._fall(power=False)
            self.schedule.after(self.schedule.draw(0.2, 2.0), self.boot)

    # --- rounds -----------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something came in: make a round soon."""
        self._wake_in(self.schedule.draw(0.0, self._pace))

    def _wake_in(self, seconds: float) -> None:
        at = self.schedule.now + seconds
        if not self.up or (self._awake_at is not None and self._awake_at <= at):
            return
        self._awake_at = at
        life = self._life

        def awake() -> None:
            if life == self._life and self._awake_at == at:
                self._awake_at = None
                self._alive(self._round)

        self.schedule.after(seconds, awake)

    def _round(self) -> None:
        assert self.supervisor is not None
        reactor = self.supervisor.reactor
        self.counts["rounds"] += 1
        self.may_send = False
        reactor.react()
        self.may_send = False
        self.supervisor.upkeep.look()
        due = reactor.next_due()
        seconds = 0.0 if due is None else max(0.0, due - self.clocks().monotonic)
        self._wake_in(min(seconds, LONGEST_POLL))

    # --- what leaves and comes --------------------------------------------------------------------

    def leaves(self, door: str) -> None:
        """Something leaves this host: is what justifies it on disk?"""
        if not self.may_send:
            raise Violation(f"G1: something leaves {self.name} for a {door} before its commit")
        self.reached()

    def reached(self) -> None:
        """A moment at which a host can die."""
        if self._fuse:
            self._fuse -= 1
            if not self._fuse:
                raise Died

    def to_process(self, name: str, frame: bytes) -> str | None:
        """Send to an actor process."""
        self.leaves("process")
        assert self._processes is not None
        process = self._processes.find(name)
        if process is None:
            return "no such process"
        process.send(frame)
        return None

    def to_client(self, frame: bytes) -> None:
        """Send to a client."""
        self.leaves("client")
        self.schedule.after(self.schedule.draw(0.0001, 0.001), lambda: self.client.hears(frame))

    def from_process(self, name: str, frame: bytes) -> None:
        """A process sent something."""
        if self.up:
            self._doors.actors.append([name.encode(), frame])
            self.wake()

    def from_client(self, client: bytes, frame: bytes) -> None:
        """A client sent something."""
        if self.up:
            self._doors.clients.append([client, frame])
            self.wake()

    def loads(self, modules: tuple[str, ...]) -> bool:
        """Whether these modules can be imported here."""
        return modules not in self.unloadable

    def kill_a_zygote(self) -> None:
        """Something kills a zygote."""
        if self.up and self._processes is not None:
            alive = [zygote for zygote in self._processes.zygotes if not zygote.dead]
            if alive:
                self.schedule.note(self.name, "loses its zygote")
                alive[0].die()

    # --- the disk ---------------------------------------------------------------------------------

    def doom(self, *, fuse: int) -> None:
        """Let this host die at the so-manieth moment from now."""
        if self.up:
            self._fuse = fuse

    def fate_after(self, commits: int, fate: Fate) -> None:
        """Let a commit have this fate, after so many that have none."""
        if self.up:
            self._fates.extend([*(Fate.WHOLE for _ in range(commits)), fate])

    def undoom(self) -> None:
        """Nothing is in store for it any more."""
        self._fuse = 0
        self._fates.clear()

    def fate(self, writes: Writes) -> Fate:
        """See ``Decider``."""
        self.counts["commits"] += 1
        self.reached()
        fate = self._fates.popleft() if self._fates else Fate.WHOLE
        if self.broken_disk:
            fate = Fate.REFUSED
        self.counts[fate.value] += 1
        if fate is not Fate.WHOLE:
            self.schedule.note(self.name, f"its commit is {fate.value}")
        return fate

    def durable(self, writes: Writes) -> None:
        """See ``Decider``."""
        assert self.store is not None
        self._judge.committed(self.name, self.store, writes)
        self.may_send = True
        self.reached()

    def _logged(
        self, _logger: object, method: str, event: structlog.typing.EventDict
    ) -> str:
        text = " ".join(f"{name}={value}" for name, value in event.items() if name != "event")
        self.schedule.note(self.name, f"[{method}] {event['event']} {text}"[:300])
        return ""

    def set_times_of_blobs(self) -> None:
        """Blobs were written now by this host's clock, whatever the real one says."""
        wall = self.clocks().wall
        for path in self.blobs.iterdir():
            if path.stat().st_mtime > self.wall + 1e8:
                os.utime(path, (wall, wall))


def clear(root: Path) -> None:
    """Remove a host's home."""
    shutil.rmtree(root, ignore_errors=True)
    gc.collect(0)
