"""Routines in a line that pass on what they get: with a source before them, and without one."""

from __future__ import annotations

import os
from itertools import pairwise

from sojourn import Flow, Routine


class Source(Routine):
    """Emits messages, all different, each with ``size`` bytes beside its number."""

    def process(self, n: int, size: int) -> None:
        for i in range(n):
            self.emit("output", i=i, data=os.urandom(8) * (size // 8))


class Step(Routine):
    def process(self, i: int, data: bytes = b"") -> None:
        self.emit("output", i=i, data=data)


class Last(Routine):
    def process(self, i: int, data: bytes = b"") -> None: ...


def chain(name: str, length: int, *, source: bool) -> Flow:
    """Make a flow of so many routines, and a source if wanted."""
    made = Flow(name)
    names = [*(["source"] if source else []), *(f"step_{n}" for n in range(length))]
    for step in names[:-1]:
        made.add_routine(Source() if step == "source" else Step(), step)
    made.add_routine(Last(), names[-1])
    for one, other in pairwise(names):
        made.connect(one, "output", other, "input")
    return made


sourced = chain("sourced", 3, source=True)
plain = chain("plain", 3, source=False)


def __getattr__(name: str) -> Flow:
    """Make ``chain_LENGTH`` (so many routines) or ``once_NUMBER`` (one routine) when asked for it."""
    kind, _, number = name.partition("_")
    if not number.isdigit() or kind not in ("chain", "once"):
        raise AttributeError(name)
    made = chain(name, int(number) if kind == "chain" else 1, source=False)
    globals()[name] = made
    return made
