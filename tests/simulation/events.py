"""Everything that can happen at one host of the exploration: its own events, and messages that arrive.

Which machine a message is for, whether a hand-off may begin and what goes on after a restart are the shipped
rules of ``sojourn.runtime.handoff.routing`` and ``strays``. Knows nothing of other hosts.
"""

from __future__ import annotations

from collections.abc import Iterator

from sojourn.runtime.handoff import effects as fx
from sojourn.runtime.handoff import routing, strays
from sojourn.runtime.handoff.claims import ARRIVING, Judgement, claim_of, judge
from sojourn.runtime.handoff.routing import Reception
from sojourn.runtime.handoff.source import ROLE as SOURCE
from sojourn.runtime.handoff.source import SourceHandoff, SourceRecord
from sojourn.runtime.handoff.stream import Piece
from sojourn.runtime.handoff.table import SourceState, TargetState
from sojourn.runtime.handoff.target import ROLE as TARGET
from sojourn.runtime.handoff.target import TargetHandoff
from sojourn.runtime.job import Ownership
from sojourn.runtime.wire.claims import Asking, Claim, Claims
from sojourn.runtime.wire.handoff import (
    Ack,
    Chunk,
    Commit,
    HandoffMessage,
    Offer,
    Preflight,
    PreflightReady,
    Prepared,
    Query,
    Waiting,
)
from tests.simulation.carrying import AttemptFailed, Carrying, Forced, Outcome
from tests.simulation.host import (
    BLOB,
    BLOB_DIGEST,
    ENCODED_FLOW,
    Arriving,
    Envelope,
    HostState,
    Leaving,
    Shop,
    final_part,
    head_of,
    pieces_of,
    rows_part,
)
from tests.simulation.machines import PATIENCE

MUCH = 1 << 30
"""Bytes that are left to copy while whole items are: too many to freeze for."""

BY_ITSELF = ("parts", "quiet", "killed", "inspected", "activated", "asks")
"""Events that come by themselves at a host that works."""


class Events:
    """What can happen at a host.

    Args:
        shop: what all hosts share.
        every_crash: whether crashes are gone through that come to the same as others.
    """

    def __init__(self, shop: Shop, *, every_crash: bool = False) -> None:
        self._shop = shop
        self._every_crash = every_crash

    def own(self, name: str, state: HostState) -> list[Outcome]:
        """Give the outcomes of all that can happen without a message and without an operator."""
        if not state.up:
            return [self.restart(name, state)]
        found = [Outcome("crash", state.crashed())]
        seen = {(state, (), ())}
        for event, carrying in self._own(name, state):
            for outcome in carrying.outcomes(event, every_crash=self._every_crash):
                what = (outcome.state, outcome.sent, outcome.news)
                if what not in seen:
                    seen.add(what)
                    found.append(outcome)
        return found

    def restart(self, name: str, state: HostState) -> Outcome:
        """Start its supervisor again."""
        carrying = Carrying(self._shop, name, state)
        carrying.up = True
        for (role, m), number in list(carrying.records.items()):
            machine = routing.recover(self._shop.rows[number], f"store-{name}", PATIENCE)
            if isinstance(machine, SourceHandoff):
                carrying.leaving[m] = Leaving(self._shop.machines.put(machine))
            elif machine is not None:
                carrying.arriving[m] = Arriving(self._shop.machines.put(machine))
            elif role == TARGET:
                del carrying.records[(role, m)]
                carrying.staged.pop(m, None)
            row = self._shop.rows[number]
            if routing.waits_for_word(row):
                carrying.withheld.append((m, row.peer, role == TARGET))
        return Outcome("restart", carrying.state())

    def begin(self, name: str, state: HostState, to: str, m: str) -> list[Outcome]:
        """Begin a hand-off, where that may be."""
        head = head_of(state.holds, state.epoch)
        machines = [self._shop.machines[leaving.machine] for _, leaving in state.leaving]
        if not state.up or head is None:
            return []
        if state.withheld:
            return []
        if not routing.may_leave(head, (one for one in machines if isinstance(one, SourceHandoff))):
            return []
        asked = Preflight(
            m, head.job_id, head.instance, head.epoch, f"store-{name}", ENCODED_FLOW, "", [], 0
        )
        machine = SourceHandoff(asked, SourceRecord(1, name, "", 0, ""), to, None, PATIENCE)
        carrying = Carrying(self._shop, name, state)
        carrying.leaving[m] = Leaving(self._shop.machines.put(machine))
        carrying.step_source(m, None)
        return carrying.outcomes(f"migrate to {to}", every_crash=self._every_crash)

    # --- the host's own events -----------------------------------------------------------------------

    def _own(self, name: str, state: HostState) -> Iterator[tuple[str, Carrying]]:
        for m, leaving in state.leaving:
            for event, happening, late in (
                ("tick", fx.Tick(), False), ("late tick", fx.Tick(), True),
                ("link back", fx.LinkBack(), False), ("cancel", fx.Cancelled(""), False),
            ):
                carrying = Carrying(self._shop, name, state)
                carrying.step_source(m, happening, late=late)
                yield event, carrying
            machine = self._shop.machines[leaving.machine]
            if leaving.wanted and leaving.items is not None:
                yield "parts", self._parts(name, state, m, leaving)
            if machine.state is SourceState.FREEZING and state.frozen and not state.executing:
                carrying = Carrying(self._shop, name, state)
                carrying.step_source(m, fx.Quiet(0.0, 1))
                yield "quiet", carrying
        for m, arriving in state.arriving:
            yield from self._arriving(name, state, m, arriving)
        yield from self._turns(name, state)
        yield from self._doubts(name, state)

    def _doubts(self, name: str, state: HostState) -> Iterator[tuple[str, Carrying]]:
        """Hosts are asked what they hold; for those that needn't answer, it is waited in vain."""
        for m, peer, for_ever in state.withheld:
            if peer:
                carrying = Carrying(self._shop, name, state)
                carrying.send(peer, Asking(0, ["job"]))
                yield "asks", carrying
            if not for_ever:
                carrying = Carrying(self._shop, name, state)
                carrying.settled(m, heard=False)
                yield "waits in vain", carrying

    def force(self, name: str, state: HostState) -> list[Outcome]:
        """An operator ends a doubt by force."""
        found: list[Outcome] = []
        for m, leaving in state.leaving:
            if state.up and self._shop.machines[leaving.machine].state is SourceState.RELEASED:
                carrying = Carrying(self._shop, name, state)
                carrying.forcing = True
                carrying.step_source(m, fx.Resolved())
                found += carrying.outcomes("resolve --force reclaim", every_crash=self._every_crash)
        for m, arriving in state.arriving:
            machine = self._shop.machines[arriving.machine]
            unconfirmed = machine.state is TargetState.OWNED and m in {doubt[0] for doubt in state.withheld}
            if state.up and (unconfirmed or machine.state is TargetState.PREPARED):
                carrying = Carrying(self._shop, name, state)
                carrying.forcing = True
                if unconfirmed:
                    carrying.epoch = machine.epoch + 2
                    carrying.news.append(Forced(carrying.epoch, carrying.attempts))
                carrying.step_target(m, fx.Resolved())
                found += carrying.outcomes("resolve --force accept", every_crash=self._every_crash)
        return found

    def _arriving(
        self, name: str, state: HostState, m: str, arriving: Arriving
    ) -> Iterator[tuple[str, Carrying]]:
        for event, happening, late in (
            ("tick", fx.Tick(), False), ("late tick", fx.Tick(), True), ("link back", fx.LinkBack(), False)
        ):
            carrying = Carrying(self._shop, name, state)
            carrying.step_target(m, happening, late=late)
            yield event, carrying
        if arriving.doing == "inspect":
            held = [(BLOB_DIGEST, len(BLOB))] if state.blob else []
            for event, done in (
                ("inspected", fx.InspectionDone("", "", held)),
                ("not loadable", fx.InspectionDone("CodeNotLoadable", "")),
            ):
                carrying = Carrying(self._shop, name, state)
                carrying.arriving[m] = arriving._replace(doing="")
                carrying.step_target(m, done)
                yield event, carrying
        waits = self._shop.machines[arriving.machine].wake_at is not None
        if arriving.doing == "activate":
            carrying = Carrying(self._shop, name, state)
            carrying.arriving[m] = arriving._replace(doing="")
            carrying.step_target(m, fx.Activated(1.0))
            yield "activated", carrying
        elif self._shop.machines[arriving.machine].state is TargetState.OWNED and not waits:
            carrying = Carrying(self._shop, name, state)
            del carrying.arriving[m]
            yield "no MEASURED came", carrying

    def _turns(self, name: str, state: HostState) -> Iterator[tuple[str, Carrying]]:
        carrying = Carrying(self._shop, name, state)
        if state.executing:
            carrying.executing = False
            yield ("killed" if state.frozen else "interrupted"), carrying
            if state.holds != Ownership.OWNED:
                return  # a result that comes now is stale, and changes nothing
            carrying = Carrying(self._shop, name, state)
            carrying.executing = False
            carrying.attempts += 1
            carrying.news.append(AttemptFailed(carrying.attempts))
            for m, leaving in state.leaving:
                if leaving.items is not None and "rows" not in leaving.items:
                    carrying.leaving[m] = leaving._replace(dirty=True)
            yield "attempt fails", carrying
        elif state.may_begin and state.attempts < self._shop.bounds.failures:
            carrying.executing = True
            yield "attempt begins", carrying

    def _parts(self, name: str, state: HostState, m: str, leaving: Leaving) -> Carrying:
        """Read what travels next: an item, what changed since, or all the rest of the frozen job."""
        items, dirty = list(leaving.items or ()), leaving.dirty
        final = leaving.wanted == "final"
        pieces: list[Piece] = []
        while items and (final or not pieces):
            pieces += self._pieces(items.pop(0), state.attempts)
        if dirty and (final or not pieces):
            pieces += self._pieces("rows", state.attempts)
            dirty = False
        if final:
            pieces += pieces_of(final_part(state.epoch), halves=self._shop.bounds.halves)
        carrying = Carrying(self._shop, name, state)
        carrying.leaving[m] = leaving._replace(items=tuple(items), dirty=dirty, wanted="")
        carrying.step_source(m, fx.PartsReady(pieces, MUCH if items else 0, final))
        return carrying

    def _pieces(self, item: str, attempts: int) -> list[Piece]:
        if item == "blob":
            return [Piece(BLOB, BLOB_DIGEST, True)]
        return pieces_of(rows_part(attempts), halves=self._shop.bounds.halves)

    # --- messages ---------------------------------------------------------------------------------------

    def deliver(self, state: HostState, envelope: Envelope) -> list[Outcome]:
        """Let a message arrive."""
        name, peer, message = envelope
        if not state.up:
            return []
        carrying = Carrying(self._shop, name, state)
        if isinstance(message, Asking):
            claims = self._claims(carrying)
            carrying.send(peer, Claims(message.number, claims))
        elif isinstance(message, Claims):
            self._hear(carrying, peer, message)
        elif isinstance(message, routing.FOR_TARGET):
            if isinstance(message, Preflight):
                self._acknowledged(carrying, message.instance, message.epoch)
            self._to_target(carrying, peer, message)
        else:
            self._to_source(carrying, peer, message)
        return carrying.outcomes(
            f"{type(message).__name__} {getattr(message, 'm', '')} arrives", every_crash=self._every_crash
        )

    def _acknowledged(self, carrying: Carrying, instance: str, epoch: int) -> bool:
        found = False
        for m, leaving in list(carrying.leaving.items()):
            machine = self._shop.machines[leaving.machine]
            assert isinstance(machine, SourceHandoff)
            ack = routing.implied_ack(machine, instance, epoch)
            if ack is not None:
                found = found or machine.state is SourceState.RELEASED
                carrying.step_source(m, ack)
        return found

    def _claims(self, carrying: Carrying) -> list[Claim]:
        head = head_of(carrying.holds, carrying.epoch)
        if head is not None:
            return [claim_of(head)]
        states = [self._shop.machines[one.machine].state for one in carrying.arriving.values()]
        arriving = TargetState.STAGING in states or TargetState.PREPARED in states
        return [Claim("job", "", 0, ARRIVING)] if arriving else []

    def _hear(self, carrying: Carrying, peer: str, said: Claims) -> None:
        """Compare what a peer holds, and lift the doubts that waited for its word."""
        for claim in said.claims:
            head = head_of(carrying.holds, carrying.epoch)
            if head is None or head.ownership not in (Ownership.OWNED, Ownership.RELEASED):
                continue
            judged = judge(head, claim, host=carrying.name, peer=peer)
            if judged.judgement is Judgement.CONFLICT:
                carrying.wrong("two hosts own the job at the same epoch")
            elif judged.judgement is Judgement.GIVE_WAY and not self._acknowledged(
                carrying, head.instance, judged.epoch
            ) and carrying.holds == Ownership.OWNED:
                carrying.give_way()
        arrives = any(claim.holding == ARRIVING for claim in said.claims)
        for m, waited_for, _ in list(carrying.withheld):
            if waited_for == peer:
                carrying.settled(m, heard=not arrives)

    def _to_target(self, carrying: Carrying, peer: str, message: routing.ToTarget) -> None:
        machines = self._shop.machines
        arriving = carrying.arriving.get(message.m)
        match routing.reception(message, peer, None if arriving is None else machines[arriving.machine]):
            case Reception.STEP:
                carrying.step_target(message.m, message)
            case Reception.BEGIN:
                assert isinstance(message, Preflight)
                self._arrive(carrying, peer, message)
            case Reception.STRAY:
                assert isinstance(message, (Commit, Offer, Chunk, Waiting))
                head = head_of(carrying.holds, carrying.epoch)
                carrying.send(peer, strays.answer_at_target(message, head, f"store-{carrying.name}"))
            case Reception.NOTHING:
                pass

    def _arrive(self, carrying: Carrying, peer: str, asked: Preflight) -> None:
        machines = [self._shop.machines[one.machine] for one in carrying.arriving.values()]
        facts = routing.facts_about(
            asked, head_of(carrying.holds, carrying.epoch),
            [one for one in machines if isinstance(one, TargetHandoff)], carrying.name,
        )
        machine = TargetHandoff(asked, peer, f"store-{carrying.name}", PATIENCE)
        carrying.arriving[asked.m] = Arriving(self._shop.machines.put(machine))
        carrying.call_target(asked.m, lambda target: target.begin(facts, 0.0), ("begin", str(facts)))

    def _to_source(self, carrying: Carrying, peer: str, message: HandoffMessage) -> None:
        leaving = carrying.leaving.get(message.m)
        machine = None if leaving is None else self._shop.machines[leaving.machine]
        match routing.reception(message, peer, machine):
            case Reception.STEP:
                carrying.step_source(message.m, message)
            case Reception.STRAY:
                assert isinstance(message, (Query, Prepared, Ack, PreflightReady))
                number = carrying.records.get((SOURCE, message.m))
                row = None if number is None else self._shop.rows[number]
                answer = strays.answer_at_source(message, row, f"store-{carrying.name}")
                if answer is not None:
                    carrying.send(peer, answer)
            case Reception.BEGIN | Reception.NOTHING:
                pass
