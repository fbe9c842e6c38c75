"""Those who read logs: the lines that there are, then new ones as rounds bring them. Never polls."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sojourn.hosts.supervisor.core import Asker, Core, ToAsker
from sojourn.runtime.engine.inputs import Round
from sojourn.runtime.job import JobHead, Ownership
from sojourn.runtime.wire.client import Progress, Reply, encode_body

LOG_BATCH = 500


class LogWatch(msgspec.Struct, eq=False):
    """Someone who reads a log; ``after`` is the last sequence number that was sent."""

    asker: Asker
    row: int
    after: int


class ReadingLogs:
    """All who read logs.

    Args:
        core: shared state.
        hand_on: called with (watch, row) when the job has moved away.
    """

    def __init__(self, core: Core, hand_on: Callable[[LogWatch, int], None]) -> None:
        self._core = core
        self._hand_on = hand_on
        self._watches: dict[int, list[LogWatch]] = {}
        """Row → those who follow its log."""

    def read(self, watch: LogWatch, *, follow: bool) -> None:
        """Send a log's lines, and go on with new ones where asked."""
        self._send_lines(watch)
        if follow and not self._over(self._core.store.head(watch.row)):
            self._watches.setdefault(watch.row, []).append(watch)
        else:
            self._end(watch)

    def drop(self, asker: Asker) -> None:
        """Forget someone who went away."""
        for row, watches in list(self._watches.items()):
            self._keep(row, [watch for watch in watches if watch.asker != asker])

    def after_commit(self, committed: Round) -> None:
        """Send the lines that a round brought."""
        if not self._watches:
            return
        heads = committed.writes.heads
        fresh = self._watches.keys() & {line.job for line in committed.writes.logs}
        for row in sorted(fresh | (self._watches.keys() & heads)):
            watches = list(self._watches[row])
            for watch in watches:
                self._send_lines(watch)
            head = self._core.store.head(row) if row in heads else None
            if head is None:
                continue
            if moved(head):
                self._keep(row, [])
                for watch in watches:
                    self._hand_on(watch, row)
            elif self._over(head):
                self._keep(row, [])
                for watch in watches:
                    self._end(watch)

    def _keep(self, row: int, watches: list[LogWatch]) -> None:
        if watches:
            self._watches[row] = watches
        else:
            self._watches.pop(row, None)

    def _over(self, head: JobHead | None) -> bool:
        if head is None or head.ownership is Ownership.FORGOTTEN:
            return True
        return head.status.finished and head.ownership is Ownership.OWNED

    def _send_lines(self, watch: LogWatch) -> None:
        while True:
            lines = self._core.store.logs(watch.row, watch.after, LOG_BATCH)
            if not lines:
                return
            watch.after = lines[-1].sequence
            body = encode_body({
                "lines": [
                    {
                        "seq": line.sequence, "routine": line.routine, "message": line.message,
                        "attempt": line.attempt, "at": line.at, "stream": line.stream,
                        "text": line.text,
                    }
                    for line in lines
                ]
            })
            self._core.send(ToAsker(watch.asker, Progress(watch.asker.request, body)))

    def _end(self, watch: LogWatch) -> None:
        self._core.send(ToAsker(watch.asker, Reply(watch.asker.request, encode_body({}))))


def moved(head: JobHead) -> bool:
    """Whether another host has a job, and it is known which."""
    return head.moved_to is not None and head.ownership in (Ownership.GONE, Ownership.FORGOTTEN)
