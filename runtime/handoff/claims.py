"""Who owns a job that two hosts know of: the rule of epochs, as a function of what both say.

A job's line of owners is numbered: whoever holds it at the later epoch has it from whoever held it before.
So the earlier one gives way, before it runs anything, and equal epochs are a conflict that stops both.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from sojourn.runtime.job import JobHead, Ownership
from sojourn.runtime.wire.claims import Claim

GIVEN_AWAY = (Ownership.RELEASED.value, Ownership.GONE.value)
ARRIVING = "arriving"


class Judgement(Enum):
    """What a host makes of another one's claim."""

    KEEP = "keep"
    """It says nothing against what is known here."""
    GIVE_WAY = "give way"
    """The job is, or was, somewhere else later than it is here."""
    CONFLICT = "conflict"
    """Two stores hold the job at the same epoch."""
    OURS = "ours"
    """It came back here later than this store knows, which was put back from a copy: nobody else has it."""
    TELL = "tell"
    """Its host takes the job to be its own, at an earlier epoch than here: it has to learn that."""


class Judged(msgspec.Struct, frozen=True):
    """A judgement, and which host has the job by it."""

    judgement: Judgement
    owner: str = ""
    epoch: int = 0


def claim_of(head: JobHead) -> Claim:
    """Say what this host holds of a job."""
    return Claim(head.job_id, head.instance, head.epoch, head.ownership.value, head.moved_to)


def claims_of(job_id: str, head: JobHead | None, *, arriving: bool) -> list[Claim]:
    """Say all that this host holds of a job, and whether it may come to own it.

    Args:
        job_id: the job.
        head: the job as it is known here, its tombstone included; None for not at all.
        arriving: whether it is being handed over to this host.
    """
    held = [] if head is None else [claim_of(head)]
    return [*held, Claim(job_id, "", 0, ARRIVING)] if arriving else held


def reached(claim: Claim) -> int:
    """Give the epoch that a claim proves the job to have come to: the next one, where it was given away."""
    given = claim.holding in GIVEN_AWAY or (
        claim.holding == Ownership.FORGOTTEN.value and claim.moved_to is not None
    )
    return claim.epoch + 1 if given else claim.epoch


def judge(own: JobHead, claim: Claim, *, host: str, peer: str) -> Judged:
    """Compare what is known here with what a peer says.

    Args:
        own: the job as it is known here, owned or released.
        claim: what the peer says of it.
        host: this host.
        peer: the one that says so.
    """
    if claim.instance != own.instance or claim.holding == ARRIVING:
        return Judged(Judgement.KEEP)
    epoch = reached(claim)
    owner = claim.moved_to if epoch > claim.epoch and claim.moved_to is not None else peer
    if epoch > own.epoch and owner == host and own.ownership is Ownership.OWNED:
        if claim.holding == Ownership.RELEASED.value:
            # its newest state is there, and the ACK that it waits for can't come any more
            return Judged(Judgement.GIVE_WAY, peer, epoch)
        return Judged(Judgement.OURS, host, epoch)
    if epoch > own.epoch:
        return Judged(Judgement.GIVE_WAY, owner, epoch)
    same = epoch == own.epoch and own.ownership is Ownership.OWNED
    if same and claim.holding == Ownership.OWNED.value and owner != host:
        return Judged(Judgement.CONFLICT, owner, epoch)
    if claim.holding == Ownership.OWNED.value and epoch < own.epoch:
        return Judged(Judgement.TELL, peer, epoch)
    return Judged(Judgement.KEEP)


def outdone(own: JobHead | None, epoch: int) -> bool:
    """Whether a host gives a job up to one that took it back by force, and owns it at ``epoch``.

    What it was told of is an earlier hand-off: the job may have gone on from here since, or come back.
    """
    return own is not None and own.ownership is Ownership.OWNED and own.epoch < epoch


def against_resolving(
    instance: str, epoch: int, claims: list[tuple[str, Claim]]
) -> str | None:
    """Say what speaks against ending a doubt by force; None if nothing does.

    Args:
        instance: of the job in doubt.
        epoch: of its last certain owner.
        claims: (host, claim) of every paired host that could be asked.
    """
    for peer, claim in claims:
        if claim.instance == instance and reached(claim) >= epoch + 1:
            owner = claim.moved_to or peer
            return (
                f"host {peer!r} knows job {claim.job_id} at epoch {reached(claim)}, later than the one in "
                f"doubt: it is on host {owner!r}, ask there"
            )
    return None
