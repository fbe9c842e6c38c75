"""Everything that a host of the exploration does by itself or by order of an operator, and its crashes.

Whether a hand-off may begin and what goes on after a restart are the shipped rules of
``sojourn.runtime.handoff.routing``. Knows nothing of other hosts; messages are in ``receiving``.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sojourn.runtime.handoff import effects as fx
from sojourn.runtime.handoff import routing
from sojourn.runtime.handoff.source import SourceHandoff, SourceRecord
from sojourn.runtime.handoff.stream import Piece
from sojourn.runtime.handoff.table import SourceState, TargetState
from sojourn.runtime.handoff.target import ROLE as TARGET
from sojourn.runtime.handoff.target import decode_record
from sojourn.runtime.job import HandoffRow, Ownership
from sojourn.runtime.wire.claims import Asking
from sojourn.runtime.wire.handoff import Preflight
from tests.simulation.carrying import AttemptFailed, Carrying, Forced, News, Outcome
from tests.simulation.host import (
    BLOB,
    BLOB_DIGEST,
    ENCODED_FLOW,
    THIS_RUN,
    Arriving,
    Doubt,
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

ASKS = "asks, in doubt,"
BY_ITSELF = ("parts", "quiet", "killed", "inspected", "activated", ASKS)
"""Begins of the names of events that come by themselves at a host that works."""


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
        seen: set[tuple[HostState, tuple[int, ...], tuple[News, ...]]] = {(state, (), ())}
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
            jobs = _row_of_job(row)
            head = head_of(state.holds, state.epoch) if jobs == state.row else None
            if routing.waits_for_word(row, head):
                carrying.doubts.append(Doubt(m, row.peer, role == TARGET, jobs))
            elif row.state == SourceState.PRECOPY:
                del carrying.records[(role, m)]
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
        machine = SourceHandoff(asked, SourceRecord(state.row, name, "", 0, ""), to, None, PATIENCE)
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
        """Hosts are asked what they hold, at any time; those that needn't answer are waited for in vain."""
        in_doubt = {doubt.peer for doubt in state.doubts if doubt.peer}
        went = set(self._shop.names) - {name} if state.owns and state.epoch > 1 else set[str]()
        for peer in sorted(in_doubt | went):
            carrying = Carrying(self._shop, name, state)
            carrying.send(peer, Asking(THIS_RUN, ["job"]))
            asks = ASKS if peer in in_doubt else "compares with"
            yield f"{asks} {peer}", carrying
        for doubt in state.doubts:
            if not doubt.for_ever:
                carrying = Carrying(self._shop, name, state)
                carrying.settled(doubt.m, heard=False)
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
            unconfirmed = machine.state is TargetState.OWNED and any(
                doubt.m == m and doubt.row == state.row for doubt in state.doubts
            )
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


def _row_of_job(row: HandoffRow) -> int:
    if row.role == TARGET:
        return decode_record(row).row
    return msgspec.msgpack.decode(row.record, type=SourceRecord).job
