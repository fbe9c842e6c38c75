"""What must be so in every state of the world, whatever was lost and whoever crashed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sojourn.runtime.handoff.source import ROLE as SOURCE
from sojourn.runtime.handoff.table import SourceState, TargetState
from sojourn.runtime.handoff.target import ROLE as TARGET
from sojourn.runtime.job import Ownership
from tests.simulation.carrying import AttemptFailed, Forced, News, Owned, Wrong
from tests.simulation.host import HostState, Shop


class History(NamedTuple):
    """What really happened, as nobody in the world knows it.

    Attributes:
        moves: hand-offs that were begun.
        failures: attempts whose failure was committed, on whatever host.
        epoch: the highest under which the job was ever owned.
        forces: doubts that were ended by force.
    """

    moves: int = 0
    failures: int = 0
    epoch: int = 1
    forces: int = 0

    def told(self, news: News) -> History | str:
        """Add what happened; a sentence where it must not happen."""
        match news:
            case Wrong():
                return news.what
            case Owned() if self.forces and news.epoch < self.epoch:
                return self  # it was said to be gone for good, learned too late of it, and must not run
            case Owned():
                if news.epoch != self.epoch + 1:
                    return f"epoch {news.epoch} is owned after epoch {self.epoch} (G5)"
                if news.attempts != self.failures:
                    return f"the job arrives with {news.attempts} attempts, and {self.failures} failed (G4)"
                return self._replace(epoch=news.epoch)
            case Forced():
                if news.epoch <= self.epoch:
                    return f"force gives epoch {news.epoch}, and epoch {self.epoch} was owned"
                return self._replace(epoch=news.epoch, failures=news.attempts, forces=self.forces + 1)
            case AttemptFailed():
                if news.attempt != self.failures + 1:
                    return f"attempt {news.attempt} fails after {self.failures} failed (G4)"
                return self._replace(failures=news.attempt)


def problem(hosts: Sequence[HostState], history: History, shop: Shop) -> str | None:
    """Say what is wrong with a moment of the world; None if nothing is."""
    owners = [host for host in hosts if host.owns]
    if history.forces:
        # One that was said to be gone for good may still believe that the job is its own, and must not run.
        owners = [host for host in owners if host.epoch == history.epoch or host.runs]
    if len(owners) > 1:
        return "two hosts own the job (G5)"
    if sum(host.runs for host in hosts) > 1:
        return "two hosts run the job (G5)"
    if any(host.executing and not host.owns for host in hosts):
        return "an attempt executes on a host that doesn't own the job (G5)"
    for host in hosts:
        if host.holds == Ownership.GONE and history.epoch <= host.epoch:
            return f"the job is gone at epoch {host.epoch}, and nobody has owned it since (G1)"
    if not owners:
        return None if _in_good_hands(hosts, history, shop) else "no disk holds the whole job (G6)"
    (owner,) = owners
    if owner.attempts != history.failures:
        return f"the owner counts {owner.attempts} failed attempts, and {history.failures} failed (G4)"
    if owner.epoch != history.epoch:
        return f"the job is owned at epoch {owner.epoch} after it was at {history.epoch} (G5)"
    return None


def _in_good_hands(hosts: Sequence[HostState], history: History, shop: Shop) -> bool:
    """Whether a source on its way to be acknowledged and a target that asks it hold the same whole job."""
    released = {
        m
        for host in hosts
        if host.holds == Ownership.RELEASED and host.attempts == history.failures
        for role, m, row in host.records
        if role == SOURCE and shop.rows[row].state == SourceState.RELEASED
    }
    return any(
        role == TARGET and m in released and shop.rows[row].state == TargetState.PREPARED
        and bool(shop.rows[row].final) and dict(host.staged)[m] == history.failures
        for host in hosts
        for role, m, row in host.records
    )


def at_rest(hosts: Sequence[HostState], shop: Shop) -> bool:
    """Whether one host runs the job and nobody is in doubt or under way."""
    return (
        [host.owns for host in hosts].count(True) == 1
        and sum(host.may_begin for host in hosts) == 1
        and all(host.up for host in hosts)
        and all(
            shop.machines[one.machine].state is SourceState.GONE
            for host in hosts for _, one in host.leaving
        )
        and all(
            shop.machines[one.machine].state is TargetState.OWNED
            for host in hosts for _, one in host.arriving
        )
        and all(
            role == SOURCE and shop.rows[row].state != SourceState.RELEASED
            for host in hosts for role, _, row in host.records
        )
    )
