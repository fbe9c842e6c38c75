"""What a host does with the effects of its machines, in their order, and what a crash in between leaves.

Stands for the supervisor: adjacent durable effects are one commit, and a message leaves where its ``Send``
stands. What a supervisor couldn't do (release what it doesn't own, own what it owns) is noted as wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from sojourn.runtime.errors import HandoffAborted, HandoffInDoubt
from sojourn.runtime.handoff import claims
from sojourn.runtime.handoff import effects as fx
from sojourn.runtime.handoff.parts import decode_final
from sojourn.runtime.handoff.source import ROLE as SOURCE
from sojourn.runtime.handoff.source import SourceHandoff
from sojourn.runtime.handoff.table import SourceState, TargetState
from sojourn.runtime.handoff.target import ROLE as TARGET
from sojourn.runtime.handoff.target import TargetHandoff
from sojourn.runtime.job import HandoffRow, Ownership
from tests.simulation.host import NOTHING_CAME, Doubt, HostState, Shop, Spoken, head_of, row_of

DURABLE = (
    fx.Persist, fx.Erase, fx.ReleaseJob, fx.MarkGone, fx.OwnJob, fx.ReclaimJob, fx.GiveUpJob, fx.StagePart,
    fx.KeepPiece, fx.Discard,
)
RAISED = (AssertionError, AttributeError, KeyError, IndexError, TypeError, ValueError)
"""What a step may raise where the machine is wrong: the supervisor would go down with it."""


class Owned(NamedTuple):
    """News for the world: the job is owned under an epoch, with so many attempts."""

    epoch: int
    attempts: int


class Forced(NamedTuple):
    """News for the world: an operator gave the job to a host; what the others did of it since is void."""

    epoch: int
    attempts: int


class AttemptFailed(NamedTuple):
    """News for the world: the failure of an attempt was committed."""

    attempt: int


class Wrong(NamedTuple):
    """Something that must not be."""

    what: str


News = Owned | Forced | AttemptFailed | Wrong


class Outcome(NamedTuple):
    """What an event made of a host.

    Attributes:
        event: its name.
        state: of the host after it.
        sent: numbers of the messages that left.
        news: for the world.
    """

    event: str
    state: HostState
    sent: tuple[int, ...] = ()
    news: tuple[News, ...] = ()


class Carrying:
    """One event at one host.

    Args:
        shop: what all hosts share.
        name: of the host.
        state: before the event.
        able: whether the host can keep what arrives.
    """

    def __init__(self, shop: Shop, name: str, state: HostState, *, able: bool = True) -> None:
        self.shop = shop
        self.name = name
        self.before = state
        self.up = state.up
        self.holds = state.holds
        self.epoch = state.epoch
        self.row = state.row
        self.attempts = state.attempts
        self.blob = state.blob
        self.records = {(role, m): row for role, m, row in state.records}
        self.staged = dict(state.staged)
        self.frozen = state.frozen
        self.executing = state.executing
        self.leaving = dict(state.leaving)
        self.arriving = dict(state.arriving)
        self.doubts = list(state.doubts)
        self.able = able
        self.kept = False
        """Whether there was something to keep."""
        self.forcing = False
        """Whether an operator does this."""
        self.sent: list[int] = []
        self.news: list[News] = []
        self.points: list[tuple[HostState, tuple[int, ...], tuple[News, ...]]] = []
        """What a crash at each point would leave, and what had been sent and done by then."""

    def state(self) -> HostState:
        """Give the host as it is by now."""
        return HostState(
            self.up, self.holds, self.epoch, self.row, self.attempts, self.blob,
            tuple(sorted((role, m, row) for (role, m), row in self.records.items())),
            tuple(sorted(self.staged.items())), self.frozen, self.executing,
            tuple(sorted(self.leaving.items())), tuple(sorted(self.arriving.items())),
            tuple(sorted(self.doubts)),
        )

    def wrong(self, what: str) -> None:
        """Note what must not be."""
        self.news.append(Wrong(f"host {self.name}: {what}"))

    def send(self, to: str, message: Spoken) -> None:
        """Let a message leave."""
        self.sent.append(self.shop.envelope(to, self.name, message))
        self._point()

    def _point(self) -> None:
        self.points.append((self.state().crashed(), tuple(self.sent), tuple(self.news)))

    def outcomes(self, event: str, *, every_crash: bool) -> list[Outcome]:
        """Give what the event may come to: all of it, or less where the host dies in the middle.

        A crash whose disk is that of the whole event is left out: it is the whole event, the loss of what
        had not left yet, and a crash. One that changed nothing is a crash before the event.
        """
        whole = Outcome(event, self.state(), tuple(self.sent), tuple(self.news))
        found = [] if whole.state == self.before and not self.sent and not self.news else [whole]
        first, last = self.before.crashed(), whole.state.crashed()
        for disk, sent, news in self.points:
            if every_crash or (disk != last and (disk != first or sent)):
                found.append(Outcome(f"{event}, and a crash in the middle of it", disk, sent, news))
        return found

    # --- stepping -----------------------------------------------------------------------------------

    def step_source(self, m: str, happening: fx.Happening | None, *, late: bool = False) -> None:
        """Let something happen to a hand-off that gives the job away."""
        leaving = self.leaving[m]
        try:
            number, effects = self.shop.machines.step(leaving.machine, happening, late=late)
        except RAISED as error:
            self.wrong(f"the source raises {error!r}")
            return
        self.leaving[m] = leaving._replace(machine=number)
        self._carry(effects, lambda effect: self._source(m, effect))

    def step_target(self, m: str, happening: fx.Happening, *, late: bool = False) -> None:
        """Let something happen to a hand-off that brings the job."""
        arriving = self.arriving[m]
        try:
            number, effects = self.shop.machines.step(arriving.machine, happening, late=late)
        except RAISED as error:
            self.wrong(f"the target raises {error!r}")
            return
        self.arriving[m] = arriving._replace(machine=number)
        self._carry(effects, lambda effect: self._target(m, effect))

    def call_target(
        self, m: str, act: Callable[[TargetHandoff], list[fx.Effect]], name: Hashable
    ) -> None:
        """The same by another method of the machine."""
        def checked(machine: SourceHandoff | TargetHandoff) -> list[fx.Effect]:
            assert isinstance(machine, TargetHandoff)
            return act(machine)

        arriving = self.arriving[m]
        number, effects = self.shop.machines.call(arriving.machine, checked, name)
        self.arriving[m] = arriving._replace(machine=number)
        self._carry(effects, lambda effect: self._target(m, effect))

    def _carry(self, effects: list[fx.Effect], do: Callable[[fx.Effect], bool]) -> None:
        for place, effect in enumerate(effects):
            if do(effect):
                return
            following = effects[place + 1] if place + 1 < len(effects) else None
            if isinstance(effect, DURABLE) and not isinstance(following, DURABLE):
                self._point()

    # --- one effect; True where the rest is given up ---------------------------------------------------

    def _source(self, m: str, effect: fx.Effect) -> bool:
        leaving = self.leaving[m]
        machine = self.shop.machines[leaving.machine]
        match effect:
            case fx.Send():
                self.send(machine.peer, effect.message)
            case fx.Persist():
                self.records[(SOURCE, m)] = self.shop.rows.put(effect.row)
            case fx.Erase():
                self.records.pop((SOURCE, m), None)
            case fx.ReclaimJob():
                if self.holds != Ownership.RELEASED:
                    self.wrong("a job is taken back that wasn't released")
                self.holds, self.epoch = Ownership.OWNED, effect.epoch
                self.news.append(Forced(self.epoch, self.attempts))
            case fx.StartCopy():
                there = {digest for digest, _ in effect.there}
                items = tuple(
                    item for item in self.shop.bounds.items if item != "blob" or not there
                )
                self.leaving[m] = leaving._replace(items=items)
            case fx.NeedParts():
                self.leaving[m] = leaving._replace(wanted="final" if effect.final else "more")
            case fx.StartFreeze():
                self.frozen = True
            case fx.Thaw():
                self.frozen = False
            case fx.ReleaseJob():
                if self.holds != Ownership.OWNED:
                    self.wrong("a job is released that isn't owned")
                self.holds, self.frozen = Ownership.RELEASED, False
            case fx.MarkGone():
                if self.holds != Ownership.RELEASED:
                    self.wrong("a job is said to be gone that wasn't released")
                self.holds, self.attempts = Ownership.GONE, 0
            case fx.Failed():
                in_doubt = effect.kind == HandoffInDoubt.__name__
                if self.holds != (Ownership.RELEASED if in_doubt else Ownership.OWNED):
                    self.wrong(f"people are told {effect.kind}, but the job is {self.holds!r}")
            case fx.Finished():
                if self.holds == Ownership.OWNED and self.epoch <= machine.epoch:
                    self.wrong("people are told that the job moved, but it is here")
            case fx.Conflict():
                self.wrong("two owners are reported")
            case fx.Ended():
                del self.leaving[m]
            case fx.PhaseReached():
                pass
            case _:
                self.wrong(f"a source asks for {type(effect).__name__}")
        return False

    def _target(self, m: str, effect: fx.Effect) -> bool:
        arriving = self.arriving[m]
        machine = self.shop.machines[arriving.machine]
        if isinstance(effect, (fx.KeepPiece, fx.StagePart, fx.RequireBlobs, fx.Reserve)):
            self.kept = True
            if not self._keep(m, effect):
                error = HandoffAborted("it can't be kept")
                self.call_target(m, lambda target: target.cannot_keep(error), "cannot keep")
                return True
            return False
        match effect:
            case fx.Send():
                self.send(machine.peer, effect.message)
            case fx.Persist():
                self._persist(effect.row)
            case fx.Erase():
                self.records.pop((TARGET, m), None)
            case fx.Discard():
                self.staged.pop(m, None)
            case fx.OwnJob():
                self._own(m, effect)
            case fx.Inspect():
                self.arriving[m] = arriving._replace(doing="inspect")
            case fx.Activate():
                self.arriving[m] = arriving._replace(doing="activate")
            case fx.Confirmed():
                self.settled(m)
            case fx.GiveUpJob():
                if claims.outdone(head_of(self.holds, self.epoch), effect.epoch):
                    self.give_way()
            case fx.RecordFigures():
                pass
            case fx.Ended():
                del self.arriving[m]
            case _:
                self.wrong(f"a target asks for {type(effect).__name__}")
        return False

    def _keep(
        self, m: str, effect: fx.KeepPiece | fx.StagePart | fx.RequireBlobs | fx.Reserve
    ) -> bool:
        """Keep what arrives; False where that can't be."""
        match effect:
            case _ if not self.able:
                return False
            case fx.KeepPiece():
                self.blob = self.blob or effect.piece.last
            case fx.StagePart():
                for row in effect.part.messages:
                    self.staged[m] = row.attempts
            case fx.RequireBlobs():
                return self.blob or "blob" not in self.shop.bounds.items
            case fx.Reserve():
                pass
        return True

    def settled(self, m: str, *, heard: bool = True) -> None:
        """A doubt about the job is over.

        The record of a hand-off that never came to be goes with it, where the other side has nothing of it.
        """
        self.doubts = [doubt for doubt in self.doubts if doubt.m != m]
        number = self.records.get((SOURCE, m))
        if heard and number is not None and self.shop.rows[number].state == SourceState.PRECOPY:
            del self.records[(SOURCE, m)]

    def give_way(self) -> None:
        """The job is another host's."""
        for doubt in list(self.doubts):
            if doubt.row == self.row:
                self.settled(doubt.m)
        self.holds, self.attempts, self.executing = Ownership.GONE, 0, False

    def _persist(self, row: HandoffRow) -> None:
        self.records[(TARGET, row.m)] = self.shop.rows.put(row)
        if row.state == TargetState.STAGING:
            self.staged.setdefault(row.m, NOTHING_CAME)

    def _own(self, m: str, effect: fx.OwnJob) -> None:
        if self.holds == Ownership.OWNED:
            self.wrong("a job is owned twice")
        if self.executing:
            self.wrong("a job is owned while an attempt of it executes")
        head = decode_final(effect.final).head
        forced = self.forcing and effect.epoch == head.epoch + 2
        if head.epoch + 1 != effect.epoch and not forced:
            self.wrong(f"epoch {effect.epoch} follows epoch {head.epoch}")
        self.holds, self.epoch, self.frozen = Ownership.OWNED, effect.epoch, False
        self.row, self.attempts = row_of(m), self.staged.pop(m, NOTHING_CAME)
        self.news.append((Forced if forced else Owned)(self.epoch, self.attempts))
        if not effect.certain:
            self.doubts.append(Doubt(m, "", True, self.row))

