"""From repetitions to what is printed: medians, ratios, and whether a target is met. Pure."""

from __future__ import annotations

import statistics

import msgspec

from benchmarks.suite.figure import Line
from benchmarks.suite.targets import Of, Target


class Spread(msgspec.Struct, frozen=True):
    """Repetitions in three numbers."""

    median: float
    lowest: float
    highest: float


class Verdict(msgspec.Struct, frozen=True):
    """Whether a target is met, and by how much.

    Attributes:
        target: the target.
        value: the median that was judged.
        met: whether it holds.
        factor: how many times as good as asked for; below 1 where it is missed.
    """

    target: Target
    value: float
    met: bool
    factor: float


def spread(values: list[float]) -> Spread:
    """Give median, lowest and highest."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(line: Line) -> list[float]:
    """Divide each of ours by the one that was measured next to it."""
    return [ours / beside for ours, beside in zip(line.ours, line.beside, strict=True)]


def judge(line: Line, target: Target) -> Verdict:
    """Hold a line against one of its targets."""
    value = statistics.median(ratios(line) if target.of is Of.RATIO else line.ours)
    met = value >= target.bound if target.at_least else value <= target.bound
    over, under = (value, target.bound) if target.at_least else (target.bound, value)
    return Verdict(target, value, met, over / under if under else float("inf"))


def percentile(values: list[float], share: float) -> float:
    """Give the value that ``share`` of all don't exceed: one of them, by the nearest rank."""
    ranked = sorted(values)
    rank = max(1, -(-int(share * 1_000_000) * len(ranked) // 1_000_000))
    return ranked[min(rank, len(ranked)) - 1]


def distribution(values: list[float]) -> list[tuple[float, float]]:
    """Give the share of all that each value isn't exceeded by, for a plot."""
    ranked = sorted(values)
    return [(value, (place + 1) / len(ranked)) for place, value in enumerate(ranked)]
