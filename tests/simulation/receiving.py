"""What a host of the exploration makes of a message that arrives.

Which machine it is for and what is said without one are the shipped rules of
``sojourn.runtime.handoff.routing``, ``strays`` and ``claims``. Knows nothing of other hosts.
"""

from __future__ import annotations

from collections.abc import Collection

from sojourn.runtime.handoff import claims, routing, strays
from sojourn.runtime.handoff.claims import ARRIVING, Judgement
from sojourn.runtime.handoff.routing import Reception
from sojourn.runtime.handoff.source import ROLE as SOURCE
from sojourn.runtime.handoff.source import SourceHandoff
from sojourn.runtime.handoff.table import SourceState
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
from tests.simulation.carrying import Carrying, Outcome
from tests.simulation.host import (
    EARLIER_RUN,
    THIS_RUN,
    Arriving,
    Envelope,
    HostState,
    Shop,
    head_of,
    row_of,
)
from tests.simulation.machines import PATIENCE


def meant(machines: Collection[str], m: str) -> str | None:
    """Say which of a host's hand-offs a message is for, if any: the one that it names, and no other."""
    return m if m in machines else None


class Receiving:
    """What messages may bring a host to.

    Args:
        shop: what all hosts share.
        every_crash: whether crashes are gone through that come to the same as others.
    """

    def __init__(self, shop: Shop, *, every_crash: bool = False) -> None:
        self._shop = shop
        self._every_crash = every_crash

    def deliver(self, state: HostState, envelope: Envelope) -> list[Outcome]:
        """Let a message arrive; where the host is to keep what came with it, it may be unable to, too."""
        if not state.up:
            return []
        event = f"{type(envelope.message).__name__} {getattr(envelope.message, 'm', '')} arrives"
        carrying = self._taken(state, envelope, able=True)
        found = carrying.outcomes(event, every_crash=self._every_crash)
        if carrying.kept:
            unable = self._taken(state, envelope, able=False)
            found += unable.outcomes(f"{event} and can't be kept", every_crash=self._every_crash)
        return found

    def _taken(self, state: HostState, envelope: Envelope, *, able: bool) -> Carrying:
        name, peer, message = envelope
        carrying = Carrying(self._shop, name, state, able=able)
        if isinstance(message, Asking):
            carrying.send(peer, Claims(message.number, self._claims(carrying)))
        elif isinstance(message, Claims):
            self._hear(carrying, peer, message)
        elif isinstance(message, routing.FOR_TARGET):
            if isinstance(message, Preflight):
                self._acknowledged(carrying, message.instance, message.epoch)
            self._to_target(carrying, peer, message)
        else:
            self._to_source(carrying, peer, message)
        return carrying

    # --- claims -----------------------------------------------------------------------------------

    def _claims(self, carrying: Carrying) -> list[Claim]:
        head = head_of(carrying.holds, carrying.epoch)
        arrives = routing.arriving("job", self._arriving(carrying)) is not None
        return claims.claims_of("job", head, arriving=arrives)

    def _hear(self, carrying: Carrying, peer: str, said: Claims) -> None:
        """Compare what a peer holds, and lift the doubts that waited for its word."""
        for claim in said.claims:
            head = head_of(carrying.holds, carrying.epoch)
            if head is None or head.ownership not in (Ownership.OWNED, Ownership.RELEASED):
                continue
            judged = claims.judge(head, claim, host=carrying.name, peer=peer)
            if judged.judgement is Judgement.CONFLICT:
                carrying.wrong("two hosts own the job at the same epoch")
            elif judged.judgement is Judgement.GIVE_WAY and not self._acknowledged(
                carrying, head.instance, judged.epoch
            ) and carrying.holds == Ownership.OWNED:
                carrying.give_way()
            elif judged.judgement is Judgement.TELL:
                carrying.send(peer, Claims(EARLIER_RUN, [claims.claim_of(head)]))
        if said.number == THIS_RUN:
            arrives = any(claim.holding == ARRIVING for claim in said.claims)
            for doubt in list(carrying.doubts):
                if doubt.peer == peer:
                    carrying.settled(doubt.m, heard=not arrives)

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

    # --- hand-offs ----------------------------------------------------------------------------------

    def _to_target(self, carrying: Carrying, peer: str, message: routing.ToTarget) -> None:
        m = meant(carrying.arriving, message.m)
        machine = None if m is None else self._shop.machines[carrying.arriving[m].machine]
        match routing.reception(message, peer, machine):
            case Reception.STEP:
                assert m is not None
                carrying.step_target(m, message)
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
        facts = routing.facts_about(
            asked, head_of(carrying.holds, carrying.epoch), self._arriving(carrying), carrying.name
        )
        machine = TargetHandoff(asked, peer, f"store-{carrying.name}", PATIENCE, row_of(asked.m))
        carrying.arriving[asked.m] = Arriving(self._shop.machines.put(machine))
        carrying.call_target(asked.m, lambda target: target.begin(facts, 0.0), ("begin", str(facts)))

    def _arriving(self, carrying: Carrying) -> list[TargetHandoff]:
        machines = [self._shop.machines[one.machine] for one in carrying.arriving.values()]
        return [machine for machine in machines if isinstance(machine, TargetHandoff)]

    def _to_source(self, carrying: Carrying, peer: str, message: HandoffMessage) -> None:
        m = meant(carrying.leaving, message.m)
        machine = None if m is None else self._shop.machines[carrying.leaving[m].machine]
        match routing.reception(message, peer, machine):
            case Reception.STEP:
                assert m is not None
                carrying.step_source(m, message)
            case Reception.STRAY:
                assert isinstance(message, (Query, Prepared, Ack, PreflightReady))
                number = carrying.records.get((SOURCE, message.m))
                row = None if number is None else self._shop.rows[number]
                answer = strays.answer_at_source(message, row, f"store-{carrying.name}")
                if answer is not None:
                    carrying.send(peer, answer)
            case Reception.BEGIN | Reception.NOTHING:
                pass
