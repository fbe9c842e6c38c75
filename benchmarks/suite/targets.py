"""What the figures shall be, as data. The only place that knows a target; judges nothing."""

from __future__ import annotations

from enum import Enum

import msgspec


class Of(Enum):
    """Which value of a line a target is about: always the median of its repetitions."""

    OURS = "ours"
    RATIO = "ratio"
    """Ours by what was measured beside it."""


class Target(msgspec.Struct, frozen=True):
    """One bound.

    Attributes:
        of: what is bounded.
        bound: the number.
        at_least: whether it is a lower bound.
    """

    of: Of
    bound: float
    at_least: bool


def at_least(of: Of, bound: float) -> Target:
    """Give a lower bound."""
    return Target(of, bound, at_least=True)


def at_most(of: Of, bound: float) -> Target:
    """Give an upper bound."""
    return Target(of, bound, at_least=False)


TARGETS: dict[str, tuple[Target, ...]] = {
    "turns.jobs": (at_least(Of.RATIO, 0.5),),
    "turns.messages": (at_least(Of.RATIO, 0.5),),
    "handlers.parallel_1ms": (at_least(Of.RATIO, 0.95),),
    "handlers.parallel_100ms": (at_least(Of.RATIO, 0.95),),
    "handlers.many_1ms": (at_least(Of.RATIO, 0.95),),
    "handlers.many_100ms": (at_least(Of.RATIO, 0.95),),
    "latency.p50": (at_most(Of.RATIO, 2.5), at_most(Of.OURS, 2.0)),
    "submits.batched": (at_least(Of.RATIO, 0.5),),
    "handoff.p50": (at_most(Of.RATIO, 5.0), at_most(Of.OURS, 5.0)),
    "handoff.p99": (at_most(Of.OURS, 15.0),),
    "handoff_blobs.p50": (at_most(Of.OURS, 10.0),),
    "handoff_distant.p50": (at_most(Of.RATIO, 1.0),),
    "drain.jobs": (at_least(Of.OURS, 1000.0),),
    "stream.blobs": (at_least(Of.RATIO, 0.4),),
    "growth_messages.turns": (at_least(Of.RATIO, 0.8),),
    "growth_jobs.running": (at_least(Of.RATIO, 0.8),),
    "growth_jobs.waiting": (at_least(Of.RATIO, 0.8),),
    "restart.first_turn": (at_most(Of.OURS, 2.0),),
    "memory.supervisor": (at_most(Of.OURS, 60.0),),
    "memory.actor": (at_most(Of.OURS, 8.0),),
    "memory.queued": (at_most(Of.OURS, 500.0),),
    "activation.first_turn": (at_most(Of.RATIO, 2.0),),
    "command_line.help": (at_most(Of.RATIO, 2.0),),
    "command_line.show": (at_most(Of.RATIO, 3.0),),
    "idle.processor": (at_most(Of.OURS, 0.5),),
}
"""By ``figure.line``. A line without one is reported only."""
