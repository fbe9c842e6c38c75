"""What a bad link does to a packet: a pure function of seed, link, packet number and conditions.

It never looks at a clock and keeps nothing: the forwarder passes the time in and remembers what the
next packet of the link needs. The same seed gives the same fates, packet by packet, also where the
conditions were changed in between: each packet has random numbers of its own.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import msgspec


class Conditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state of one direction of a link.

    Attributes:
        loss: share of the packets that vanish, 0 to 1.
        delay: seconds that each packet takes.
        jitter: seconds by which that varies at most, up and down; the order stays.
        held_back: share of the packets that are held, so that later ones overtake them.
        held_for: seconds for which those are held.
        cut: whether nothing arrives at all; it swallows what is on its way, too.
    """

    loss: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    held_back: float = 0.0
    held_for: float = 0.0
    cut: bool = False


CLEAN = Conditions()
CUT = Conditions(cut=True)


class Fate(NamedTuple):
    """What becomes of one packet.

    Attributes:
        due: when it arrives; None if it doesn't.
        floor: before which no later packet of the link arrives, except those that are held.
    """

    due: float | None
    floor: float


def fate(
    seed: int, link: str, number: int, now: float, floor: float, conditions: Conditions
) -> Fate:
    """Decide what becomes of a packet.

    Args:
        seed: of the run.
        link: name of the direction.
        number: of the packet on this link, counted from 0.
        now: seconds, on any clock.
        floor: what the fate of the packet before it said; 0 for the first.
        conditions: of the link now.
    """
    drawn = random.Random(f"{seed}/{link}/{number}")
    lost, swing, held = drawn.random(), drawn.uniform(-1.0, 1.0), drawn.random()
    if conditions.cut or lost < conditions.loss:
        return Fate(None, floor)
    due = max(floor, now + max(0.0, conditions.delay + swing * conditions.jitter))
    if held < conditions.held_back:
        return Fate(due + conditions.held_for, floor)
    return Fate(due, due)
