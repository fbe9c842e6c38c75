"""How many jobs of each flow wait for their first turn, and when that is so many that submits wait, too."""

from __future__ import annotations

import msgspec

from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.engine.model import Job


class Queue(msgspec.Struct):
    """The jobs of one flow that wait for their first turn, and the bytes of their inputs."""

    jobs: int = 0
    bytes: int = 0


class Queues:
    """Those of all flows.

    Args:
        bounds: how much may wait.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._queues: dict[str, Queue] = {}
        """By the flow's digest. None is empty."""

    def count(self, job: Job, by: int) -> None:
        """A job begins (1) or ends (-1) to wait for its first turn."""
        digest = job.plan.digest
        queue = self._queues.get(digest)
        if queue is None:
            queue = self._queues[digest] = Queue()
        queue.jobs += by
        queue.bytes += by * len(job.head.input)
        if not queue.jobs:
            del self._queues[digest]

    def of(self, digest: str) -> Queue:
        """Give the queue of a flow."""
        return self._queues.get(digest) or Queue()

    def is_full(self, digest: str) -> bool:
        """Tell whether submits of a flow wait."""
        queue = self.of(digest)
        return queue.jobs >= self._bounds.jobs or queue.bytes >= self._bounds.inputs
