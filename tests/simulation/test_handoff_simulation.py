"""Both hand-off machines over a network that loses, repeats and delays, on hosts that die at any effect.

The shipped machines run; disks are dictionaries, time is simulated. After every event: at most one host
may run the job (G5), and some disk holds it in a state that goes on by itself or knows whom to ask (G6).
Once nothing goes wrong any more, exactly one host owns it.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.runtime.flow import FlowSpec, encode_flow
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.handoff import effects as fx
from sojourn.runtime.handoff import strays
from sojourn.runtime.handoff.parts import Final, Part, encode_part
from sojourn.runtime.handoff.source import Patience, SourceHandoff, SourceRecord
from sojourn.runtime.handoff.stream import cut
from sojourn.runtime.handoff.table import SourceState, TargetState
from sojourn.runtime.handoff.target import TargetFacts, TargetHandoff
from sojourn.runtime.job import HandoffRow, JobHead, JobStatus
from sojourn.runtime.wire.handoff import (
    Abort,
    Ack,
    Chunk,
    Closed,
    Commit,
    HandoffMessage,
    Measured,
    Offer,
    Preflight,
    PreflightReady,
    Prepared,
    Query,
    Superseded,
    Waiting,
)

PATIENCE = Patience(
    preflight=5.0, offer=5.0, commit=5.0, started=5.0, resend=0.25, longest=1.0
)
FLOW = FlowSpec("flow", "step", ())
TO_TARGET = (Preflight, Chunk, Waiting, Offer, Commit, Abort, Measured, Closed, Superseded)


class Died(Exception):
    """A host died in the middle of carrying out effects."""


class Disk:
    """What survives a death: who owns the job, and the records of hand-offs."""

    def __init__(self, owned_epoch: int | None) -> None:
        self.owned_epoch = owned_epoch
        self.known_epoch = owned_epoch or 0
        self.rows: dict[tuple[str, str], HandoffRow] = {}


class SimulatedHost:
    """One host: a disk, and machines while it is up."""

    def __init__(self, world: World, name: str, owned_epoch: int | None) -> None:
        self.world = world
        self.name = name
        self.disk = Disk(owned_epoch)
        self.up = True
        self.source: SourceHandoff | None = None
        self.targets: dict[str, TargetHandoff] = {}
        self.frozen = False

    @property
    def other(self) -> SimulatedHost:
        return self.world.hosts["b" if self.name == "a" else "a"]

    @property
    def may_run(self) -> bool:
        """Whether it would run the job's turns now."""
        return self.up and self.disk.owned_epoch is not None and not self.frozen

    def die(self) -> None:
        self.up = False
        self.source = None
        self.targets = {}
        self.frozen = False

    def restart(self) -> None:
        self.up = True
        for (role, m), row in list(self.disk.rows.items()):
            if role == "source" and row.state == SourceState.RELEASED:
                self.source = SourceHandoff.recover(row, PATIENCE)
            elif role == "source" and row.state == SourceState.PRECOPY:
                del self.disk.rows[(role, m)]
            elif role == "target" and row.state in (TargetState.PREPARED, TargetState.OWNED):
                self.targets[m] = TargetHandoff.recover(row, f"store-{self.name}", PATIENCE)
            elif role == "target":
                del self.disk.rows[(role, m)]

    def migrate(self, m: str) -> None:
        """Begin to give the job away, if it is here and quiet."""
        if not self.up or self.disk.owned_epoch is None or self.source is not None:
            return
        epoch = self.disk.owned_epoch
        asked = Preflight(m, "job", "instance", epoch, f"store-{self.name}", encode_flow(FLOW), "", [], 0)
        record = SourceRecord(1, self.name, "", 0, "")
        self.source = SourceHandoff(asked, record, self.other.name, None, PATIENCE)
        self.do_source(self.source.step(None, self.world.now))

    # --- carrying out ----------------------------------------------------------------------------

    def do_source(self, effects: list[fx.Effect]) -> None:
        machine = self.source
        assert machine is not None
        writes = (fx.Persist, fx.Erase, fx.ReleaseJob, fx.MarkGone)
        durable = [effect for effect in effects if isinstance(effect, writes)]
        self.world.maybe_die(self)
        for write in durable:  # one commit
            if isinstance(write, fx.Persist):
                self.disk.rows[("source", write.row.m)] = write.row
            elif isinstance(write, fx.Erase):
                self.disk.rows.pop(("source", write.m), None)
            elif isinstance(write, fx.ReleaseJob):
                self.disk.owned_epoch = None
        self.world.maybe_die(self)
        for effect in effects:
            match effect:
                case fx.Send():
                    self.world.maybe_die(self)
                    self.world.send(self.other, effect.message)
                case fx.StartFreeze():
                    self.frozen = True
                    self.do_source(machine.step(fx.Quiet(0.0, 1), self.world.now))
                case fx.NeedParts():
                    data = self.world.part(machine.epoch if effect.final else None)
                    ready = fx.PartsReady(cut(data), 0, effect.final)
                    self.do_source(machine.step(ready, self.world.now))
                case fx.Thaw():
                    self.frozen = False
                case fx.Ended():
                    if self.source is machine:
                        self.source = None
                    self.frozen = False
                case _:
                    pass
        if self.disk.owned_epoch is None:
            self.frozen = False

    def do_target(self, machine: TargetHandoff, effects: list[fx.Effect]) -> None:
        self.world.maybe_die(self)
        for effect in effects:  # one commit
            match effect:
                case fx.Persist():
                    self.disk.rows[("target", effect.row.m)] = effect.row
                case fx.Erase():
                    self.disk.rows.pop((effect.role, effect.m), None)
                case fx.OwnJob():
                    assert self.disk.owned_epoch is None
                    self.disk.owned_epoch = self.disk.known_epoch = effect.epoch
                case _:
                    pass
        self.world.maybe_die(self)
        for effect in effects:
            match effect:
                case fx.Send():
                    self.world.maybe_die(self)
                    self.world.send(self.other, effect.message)
                case fx.Inspect():
                    self.do_target(machine, machine.step(fx.InspectionDone("", ""), self.world.now))
                case fx.Activate():
                    self.do_target(machine, machine.step(fx.Activated(1.0), self.world.now))
                case fx.Ended():
                    self.targets.pop(machine.m, None)
                case _:
                    pass

    # --- receiving -------------------------------------------------------------------------------

    def receive(self, message: HandoffMessage) -> None:
        if isinstance(message, TO_TARGET):
            self.receive_as_target(message)
            return
        if self.source is not None and self.source.m == message.m:
            self.do_source(self.source.step(message, self.world.now))
        elif isinstance(message, (Query, Prepared, PreflightReady, Ack)):
            row = self.disk.rows.get(("source", message.m))
            answer = strays.answer_at_source(message, row, f"store-{self.name}")
            if answer is not None:
                self.world.send(self.other, answer)

    def receive_as_target(self, message: HandoffMessage) -> None:
        machine = self.targets.get(message.m)
        if machine is not None:
            self.do_target(machine, machine.step(message, self.world.now))
        elif isinstance(message, Preflight):
            self.implicit_ack(message)
            machine = TargetHandoff(message, self.other.name, f"store-{self.name}", PATIENCE)
            open_ = (TargetState.STAGING, TargetState.PREPARED)
            arriving = next((m for m, t in self.targets.items() if t.state in open_), None)
            facts = TargetFacts(
                self.name, "instance" if self.disk.known_epoch else None, self.disk.known_epoch,
                self.disk.owned_epoch is not None, arriving=arriving,
            )
            self.targets[message.m] = machine
            self.do_target(machine, machine.begin(facts, self.world.now))
        elif isinstance(message, (Commit, Offer, Chunk, Waiting)):
            epoch = self.disk.known_epoch
            known = self.world.head(epoch) if epoch else None
            answer = strays.answer_at_target(message, known, f"store-{self.name}")
            self.world.send(self.other, answer)

    def implicit_ack(self, offered: Preflight) -> None:
        if self.source is not None and offered.epoch >= self.source.epoch + 1:
            self.do_source(self.source.step(Ack(self.source.m, self.source.epoch + 1), self.world.now))

    def tick(self) -> None:
        source = self.source
        if source is not None and source.wake_at is not None and source.wake_at <= self.world.now:
            self.do_source(source.step(fx.Tick(), self.world.now))
        for machine in list(self.targets.values()):
            if machine.wake_at is not None and machine.wake_at <= self.world.now:
                self.do_target(machine, machine.step(fx.Tick(), self.world.now))


class World:
    """Two hosts, a network and a clock, driven by one source of chance."""

    def __init__(self, seed: int, *, loss: float, death: float) -> None:
        self.chance = random.Random(seed)
        self.loss = loss
        self.death = death
        self.now = 0.0
        self.hosts: dict[str, SimulatedHost] = {}
        self.hosts["a"] = SimulatedHost(self, "a", 1)
        self.hosts["b"] = SimulatedHost(self, "b", None)
        self.network: list[tuple[SimulatedHost, HandoffMessage]] = []
        self.moves = 0

    def part(self, epoch: int | None) -> bytes:
        """Some part of the job; the one that ends the copy, where an epoch is given."""
        if epoch is None:
            return encode_part(Part(messages_gone=[1]))
        return encode_part(Part(final=Final(self.head(epoch), {}, 0.0, 0)))

    def head(self, epoch: int) -> JobHead:
        """The job at an epoch."""
        return JobHead(
            "job", "instance", "flow", flow_digest(FLOW), epoch, JobStatus.RUNNING, 0.0, b"\x80",
            handoffs=[],
        )

    def maybe_die(self, host: SimulatedHost) -> None:
        if self.chance.random() < self.death:
            host.die()
            raise Died

    def send(self, to: SimulatedHost, message: HandoffMessage) -> None:
        roll = self.chance.random()
        if roll < self.loss:
            return
        self.network.append((to, message))
        if roll > 1 - self.loss / 2:
            self.network.append((to, message))

    def happen(self) -> None:
        """Let one thing happen."""
        try:
            roll = self.chance.random()
            if self.network and roll < 0.6:
                place = 0 if self.chance.random() < 0.7 else self.chance.randrange(len(self.network))
                to, message = self.network.pop(place)
                if to.up:
                    to.receive(message)
            elif roll < 0.75:
                self.now += self.chance.choice((0.1, 0.3, 1.0, 3.0))
                for host in self.hosts.values():
                    if host.up:
                        host.tick()
            elif roll < 0.85:
                host = self.hosts[self.chance.choice("ab")]
                if not host.up:
                    host.restart()
                elif self.chance.random() < self.death:
                    host.die()
            elif roll < 0.95:
                self.moves += 1
                self.hosts[self.chance.choice("ab")].migrate(f"m{self.moves}")
        except Died:
            return

    def check(self) -> None:
        """G5 and G6."""
        owners = [host.name for host in self.hosts.values() if host.disk.owned_epoch is not None]
        assert len(owners) <= 1, f"two stores own the job: {owners}"
        assert len([host for host in self.hosts.values() if host.may_run]) <= 1
        if owners:
            return
        released = [
            row
            for host in self.hosts.values()
            for (role, _), row in host.disk.rows.items()
            if role == "source" and row.state == SourceState.RELEASED
        ]
        prepared = {
            m
            for host in self.hosts.values()
            for (role, m), row in host.disk.rows.items()
            if role == "target" and row.state == TargetState.PREPARED and row.final
        }
        assert any(row.m in prepared for row in released), "no disk holds the job and knows whom to ask"

    def settle(self) -> None:
        """Nothing goes wrong any more: everything comes to rest."""
        self.loss = self.death = 0.0
        for host in self.hosts.values():
            if not host.up:
                host.restart()
        for _ in range(400):
            self.now += 1.0
            for host in self.hosts.values():
                host.tick()
            while self.network:
                to, message = self.network.pop(0)
                to.receive(message)
            self.check()
        owners = [host for host in self.hosts.values() if host.may_run]
        assert len(owners) == 1, "the job came to rest with no owner that runs it"
        for host in self.hosts.values():
            assert not [r for (role, _), r in host.disk.rows.items() if role == "target"], "left in doubt"


def simulate(seed: int, *, loss: float, death: float, events: int = 400) -> World:
    world = World(seed, loss=loss, death=death)
    for _ in range(events):
        world.happen()
        world.check()
    world.settle()
    return world


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.4]), st.sampled_from([0.0, 0.02, 0.1]))
def test_never_two_owners_never_none(seed: int, loss: float, death: float) -> None:
    simulate(seed, loss=loss, death=death)


def test_jobs_do_move_in_the_simulation() -> None:
    epochs = [
        max(host.disk.known_epoch for host in simulate(seed, loss=0.0, death=0.0).hosts.values())
        for seed in range(10)
    ]
    assert min(epochs) > 3


@pytest.mark.soak
@settings(max_examples=20_000)
@given(st.integers(0, 2**32), st.floats(0, 0.6), st.floats(0, 0.2))
def test_never_two_owners_never_none_for_long(seed: int, loss: float, death: float) -> None:
    simulate(seed, loss=loss, death=death, events=1000)


def test_the_simulation_notices_a_source_that_sends_before_it_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def do_source(self: SimulatedHost, effects: list[fx.Effect]) -> None:
        sends = [effect for effect in effects if isinstance(effect, fx.Send)]
        for effect in sends:
            self.world.send(self.other, effect.message)
        honest(self, [effect for effect in effects if effect not in sends])

    honest = SimulatedHost.do_source
    monkeypatch.setattr(SimulatedHost, "do_source", do_source)
    def many() -> None:
        for seed in range(300):
            simulate(seed, loss=0.0, death=0.1)

    with pytest.raises(AssertionError):
        many()
