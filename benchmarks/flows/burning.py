"""Handlers that use the processor for a given time."""

from __future__ import annotations

import os
import time

from sojourn import Flow, Routine

CORES = len(os.sched_getaffinity(0))


def burn(seconds: float) -> None:
    """Use this thread's share of a core until it has had so many seconds."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Fan(Routine):
    def process(self, n: int, seconds: float) -> None:
        for _ in range(n):
            self.emit("output", seconds=seconds)


class Burn(Routine):
    def process(self, seconds: float) -> None:
        burn(seconds)


many = Flow("burning_many")
many.add_routine(Burn(), "burn", processes=CORES)

parallel = Flow("burning_parallel")
parallel.add_routine(Fan(), "fan")
parallel.add_routine(Burn(), "burn", processes=CORES, parallel=True)
parallel.connect("fan", "output", "burn", "input")
