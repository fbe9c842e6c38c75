"""Submits that wait because too much of their flow waits already: in order of arrival, told so, never lost.

Nothing of them is made, and nothing acknowledged, before there is room. Makes no job itself.
"""

from __future__ import annotations

import json
from collections import deque

import msgspec

from sojourn.hosts.supervisor.core import Asker, Core, ToAsker
from sojourn.runtime.engine.model import FlowPlan
from sojourn.runtime.wire.client import Progress, Submit
from sojourn.runtime.wire.zygote import Inspected

TELL_SECONDS = 5.0
"""How often those who wait are told so; who went away is noticed by that."""


class Waiting(msgspec.Struct, eq=False):
    """One submit.

    Attributes:
        asker: who submits.
        command: what.
        plan: its flow.
        inspected: the same, as its code was looked at.
        told: monotonic seconds at which it was told last that it waits.
    """

    asker: Asker
    command: Submit
    plan: FlowPlan
    inspected: Inspected
    told: float


class Backlog:
    """All submits that wait, per flow.

    Args:
        core: shared state.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lines: dict[str, deque[Waiting]] = {}
        """Digest of the flow → those that wait. None is empty."""

    def is_full(self, digest: str) -> bool:
        """Tell whether a new submit of a flow has to wait; also where others do, for it passes nobody."""
        return digest in self._lines or self._core.engine.book.queues.is_full(digest)

    def add(self, asker: Asker, command: Submit, plan: FlowPlan, inspected: Inspected) -> None:
        """Let a submit wait behind the others of its flow."""
        waiting = Waiting(asker, command, plan, inspected, self._core.now.monotonic)
        self._lines.setdefault(plan.digest, deque()).append(waiting)
        self._tell(waiting)

    def next(self) -> Waiting | None:
        """Take out a submit for which there is room now, the oldest of its flow."""
        for digest, line in self._lines.items():
            if not self._core.engine.book.queues.is_full(digest):
                waiting = line.popleft()
                if not line:
                    del self._lines[digest]
                return waiting
        return None

    def tell(self) -> None:
        """Tell those that have waited a while that they still do."""
        now = self._core.now.monotonic
        for line in self._lines.values():
            for waiting in line:
                if now >= waiting.told + TELL_SECONDS:
                    waiting.told = now
                    self._tell(waiting)

    def next_deadline(self) -> float | None:
        """Give the monotonic time at which somebody is to be told."""
        told = (waiting.told for line in self._lines.values() for waiting in line)
        return min((at + TELL_SECONDS for at in told), default=None)

    def drop(self, asker: Asker) -> bool:
        """Take out what someone submitted who went away; False if nothing of him waits."""
        for digest, line in self._lines.items():
            for waiting in line:
                if waiting.asker == asker:
                    line.remove(waiting)
                    if not line:
                        del self._lines[digest]
                    return True
        return False

    def _tell(self, waiting: Waiting) -> None:
        jobs = self._core.engine.book.queues.of(waiting.plan.digest).jobs
        said = (
            f"{jobs} jobs of flow {waiting.plan.spec.id!r} wait for their first turn on host "
            f"{self._core.host!r}: the submit waits until there is room"
        )
        asker = waiting.asker
        self._core.send(ToAsker(asker, Progress(asker.request, json.dumps({"waiting": said}).encode())))
