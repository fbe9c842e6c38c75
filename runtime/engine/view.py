"""Jobs in memory and in images, as a condition of ``--until`` sees them."""

from __future__ import annotations

import msgspec

from sojourn.runtime.engine.model import Job
from sojourn.runtime.job import JobImage, RoutineCounts
from sojourn.runtime.values_json import displayed


class RoutineFigures(msgspec.Struct, frozen=True):
    """Figures of one routine."""

    retry_count: int
    succeeded: int
    failed: int
    skipped: int
    pending: int
    attempts: int


def retries_of(job: Job) -> dict[str, int]:
    """Give the highest retry count among a job's pending messages, per routine that has any."""
    return {
        name: max((job.messages[number].retry_count for number in actor.tried), default=0)
        for name, actor in job.actors.items() if actor.pending()
    }


class LiveView:
    """A job in memory.

    Args:
        job: it.
        status: what people are told of its status.
    """

    def __init__(self, job: Job, status: str) -> None:
        self._job = job
        self.status = status
        self.epoch = job.head.epoch
        self.pending = job.pending()
        self.history = job.next_sequence - 1
        self.waiting = len(job.questions)

    def routine(self, name: str) -> RoutineFigures | None:
        """See ``ConditionView``."""
        if name not in self._job.plan.routines:
            return None
        counts = self._job.counts.get(name, [0, 0, 0, 0])
        actor = self._job.actors.get(name)
        pending = 0 if actor is None else actor.pending()
        # Evaluated at every commit, so it must not go through the whole mailbox.
        tried = [] if actor is None else [self._job.messages[number] for number in actor.tried]
        return RoutineFigures(
            max((m.retry_count for m in tried), default=0 if pending else counts[3]),
            counts[0], counts[1], counts[2], pending, max((m.attempts for m in tried), default=0),
        )

    def shared(self, key: str) -> object:
        """See ``ConditionView``."""
        value = self._job.shared.get(key)
        return None if value is None else displayed(value)


class ImageView:
    """A job as the store has it.

    Args:
        image: it.
        status: what people are told of its status.
        history: entries of its history in all.
    """

    def __init__(self, image: JobImage, status: str, history: int) -> None:
        self._image = image
        self.status = status
        self.epoch = image.head.epoch
        self.pending = len(image.messages)
        self.history = history
        self.waiting = len(image.questions)

    def routine(self, name: str) -> RoutineFigures | None:
        """See ``ConditionView``."""
        counts = self._image.counts.get(name, RoutineCounts(0, 0, 0, 0))
        pending = [row for row in self._image.messages if row.routine == name]
        return RoutineFigures(
            max((row.retry_count for row in pending), default=counts.last_retry_count),
            counts.succeeded, counts.failed, counts.skipped, len(pending),
            max((row.attempts for row in pending), default=0),
        )

    def shared(self, key: str) -> object:
        """See ``ConditionView``."""
        return next((displayed(row.value) for row in self._image.shared if row.key == key), None)
