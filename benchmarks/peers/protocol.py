"""How a peer is asked: one worker process per peer, in an interpreter that may know no more than the peer.

A worker prints one line when it is up: ``ready`` and its durability settings, or ``absent`` and why. Then
each line on its stdin is a question, answered by one line of JSON: ``queued N`` (seconds until N jobs,
submitted at once, are done) or ``single N`` (seconds of each of N jobs, one after another). Imported by
workers, so it needs nothing but the standard library.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple


class Peer(NamedTuple):
    """A peer that runs.

    Attributes:
        settings: what its durability is, in words.
        queued: submits so many jobs at once and waits for all.
        single: takes one job.
        stop: ends it.
    """

    settings: str
    queued: Callable[[int], None]
    single: Callable[[], None]
    stop: Callable[[], None]


def serve(start: Callable[[Path], Peer]) -> None:
    """Be a worker.

    Args:
        start: starts the peer, with its files in a folder.
    """
    try:
        peer = start(Path(sys.argv[1]))
    except (ImportError, OSError) as error:
        print(f"absent {error}", flush=True)
        return
    try:
        peer.single()
        print(f"ready {peer.settings}", flush=True)
        for line in iter(sys.stdin.readline, ""):
            kind, count = line.split()
            print(json.dumps(answer(peer, kind, int(count))), flush=True)
    finally:
        peer.stop()


def answer(peer: Peer, kind: str, count: int) -> list[float]:
    """Have work done; give the seconds."""
    if kind == "queued":
        return [timed(lambda: peer.queued(count))]
    return [timed(peer.single) for _ in range(count)]


def timed(work: Callable[[], None]) -> float:
    """Give the seconds of something."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def version(module: ModuleType) -> str:
    """Give a peer's version."""
    from importlib.metadata import version as installed  # noqa: PLC0415 - of the peer's interpreter

    return f"{module.__name__} {installed(module.__name__)}"
