"""Mistakes that could be made in the hand-off, each put into the shipped code for the time of one test.

A mutant is a replacement of one shipped function or method, and a world small enough that a search finds
what it breaks. Most are mistakes that people make in two-phase commit; the rest are rules of section 7 of
the design, each left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from sojourn.runtime.handoff import effects as fx
from sojourn.runtime.handoff import routing, source, strays, target
from sojourn.runtime.handoff.source import SourceHandoff
from sojourn.runtime.handoff.table import SourceState, TargetState
from sojourn.runtime.handoff.target import TargetHandoff
from sojourn.runtime.job import HandoffRow, JobHead
from sojourn.runtime.wire.handoff import Abort, Ack, Commit, HandoffMessage, Offer, Preflight, Prepared, Unknown
from tests.simulation import events
from tests.simulation.host import Bounds

ONE = Bounds(moves=1, failures=1, network=1)
TWO = Bounds(moves=2, failures=0, network=1)
ANY = Any
"""What a replacement stands for is checked by what it is put in place of, not by its type."""


class Mutant(NamedTuple):
    """A mistake.

    Attributes:
        name: what is done wrong.
        places: (object, attribute, replacement).
        says: what the search must say.
        bounds: of the world that shows it.
        fair: whether it shows only in what the states lead to.
    """

    name: str
    places: tuple[tuple[object, str, Any], ...]
    says: str
    bounds: Bounds = ONE
    fair: bool = False


def sends_first(
    shipped: Callable[..., list[fx.Effect]], kinds: tuple[type, ...]
) -> Callable[..., list[fx.Effect]]:
    """Let messages of some kinds leave before what stands in front of them is on disk."""

    def step(*arguments: Any) -> list[fx.Effect]:
        effects = shipped(*arguments)
        early = [one for one in effects if isinstance(one, fx.Send) and isinstance(one.message, kinds)]
        return [*early, *(one for one in effects if one not in early)]

    return step


def without(shipped: Callable[..., list[fx.Effect]], kinds: tuple[type, ...]) -> Callable[..., list[fx.Effect]]:
    """Leave effects of some kinds out."""

    def step(*arguments: Any, **named: Any) -> list[fx.Effect]:
        return [one for one in shipped(*arguments, **named) if not isinstance(one, kinds)]

    return step
