"""Ray actors, which know no durability at all: three of them, each a trivial step. See ``protocol``."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from benchmarks.peers.protocol import Peer, serve, version


class Step:
    def step(self, i: int) -> int:
        return i + 1


def start(folder: Path) -> Peer:
    ray = import_module("ray")
    ray.init(num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False, logging_level="ERROR",
             _temp_dir=str(folder / "r"))
    # no processor of their own: there may be fewer than actors
    one, two, three = (ray.remote(num_cpus=0)(Step).remote() for _ in range(3))

    def queued(count: int) -> None:
        ray.get([three.step.remote(two.step.remote(one.step.remote(i))) for i in range(count)])

    def single() -> None:
        queued(1)

    return Peer(f"{version(ray)}, nothing durable", queued, single, ray.shutdown)


if __name__ == "__main__":
    serve(start)
