"""All figures, in the order of the table."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import (
    activation,
    command_line,
    drain,
    fairness,
    fanout,
    growth_jobs,
    growth_messages,
    handlers,
    handoff,
    handoff_blobs,
    handoff_distant,
    idle,
    latency,
    memory,
    payloads,
    restart,
    routines,
    stream,
    submits,
    turns,
)
from benchmarks.suite.figure import Figure

FIGURES: tuple[Figure[Any], ...] = (
    turns.FIGURE,
    payloads.FIGURE,
    fanout.FIGURE,
    routines.FIGURE,
    handlers.FIGURE,
    latency.FIGURE,
    fairness.FIGURE,
    submits.FIGURE,
    handoff.FIGURE,
    handoff_blobs.FIGURE,
    handoff_distant.FIGURE,
    drain.FIGURE,
    stream.FIGURE,
    growth_messages.FIGURE,
    growth_jobs.FIGURE,
    restart.FIGURE,
    memory.FIGURE,
    activation.FIGURE,
    command_line.FIGURE,
    idle.FIGURE,
)
