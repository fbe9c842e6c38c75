"""Those who wait: for a job's end, for a condition, for lines of a log. Fed by commits, never polling."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from sojourn.hosts.supervisor.core import Asker, Core, ToAsker
from sojourn.hosts.supervisor.papers import document, shown_now
from sojourn.runtime.conditions import Condition, ConditionView
from sojourn.runtime.engine.inputs import Round
from sojourn.runtime.engine.view import ImageView, LiveView
from sojourn.runtime.errors import JobUnreadable, SojournError, WaitTimedOut, to_wire
from sojourn.runtime.job import Outcome, Ownership
from sojourn.runtime.wire.client import Failure, Progress, Reply

LOG_BATCH = 500


class Watch(msgspec.Struct, eq=False):
    """One wait.

    Attributes:
        asker: who waits.
        rows: rows asked for, in order.
        open: rows whose end or condition is still to come.
        documents: row → document, of those that are done.
        condition: what is waited for; None for the end.
        deadline: monotonic seconds; None for no limit.
        follow: whether news are told meanwhile.
        held: whether the condition held.
    """

    asker: Asker
    rows: list[int]
    open: set[int]
    documents: dict[int, dict[str, Any]]
    condition: Condition | None
    deadline: float | None
    follow: bool
    held: bool = True


class LogWatch(msgspec.Struct, eq=False):
    """Someone who reads a log; ``after`` is the last sequence number that was sent."""

    asker: Asker
    row: int
    after: int


class Watching:
    """All who wait.

    Args:
        core: shared state.
        hand_on: called with (asker, job id) when a watched job has moved away.
    """

    def __init__(self, core: Core, hand_on: Callable[[Watch | LogWatch, int], None]) -> None:
        self._core = core
        self._hand_on = hand_on
        self._watches: list[Watch] = []
        self._fresh: list[Watch] = []
        """Those that nobody has looked at yet."""
        self._logs: list[LogWatch] = []

    # --- beginnings ---------------------------------------------------------------------------

    def wait(self, watch: Watch) -> None:
        """Begin a wait; it is looked at once the round under way is on disk."""
        self._watches.append(watch)
        self._fresh.append(watch)

    def read_logs(self, watch: LogWatch, *, follow: bool) -> None:
        """Send a log's lines, and go on with new ones where asked."""
        self._send_lines(watch)
        if follow and not self._over(watch.row):
            self._logs.append(watch)
        else:
            self._reply(watch.asker, {})

    def drop(self, asker: Asker) -> None:
        """Forget someone who went away."""
        self._watches = [watch for watch in self._watches if watch.asker != asker]
        self._logs = [watch for watch in self._logs if watch.asker != asker]

    def settle(self, watch: Watch, row: int, found: dict[str, Any], *, held: bool) -> None:
        """Take in the document of a job that ended, or met the condition, on another host."""
        watch.documents[row] = found
        watch.open.discard(row)
        watch.held = watch.held and held
        self._close_if_done(watch)

    def fail(self, watch: Watch, error: SojournError) -> None:
        """End a wait with an error."""
        if watch in self._watches:
            self._watches.remove(watch)
        self._core.send(ToAsker(watch.asker, Failure(watch.asker.request, *to_wire(error))))

    # --- after every commit -------------------------------------------------------------------

    def after_commit(self, committed: Round) -> None:
        """Tell everyone what the round brought. What is sent leaves with the next round."""
        fresh, self._fresh = self._fresh, []
        for watch in fresh:
            for row in list(watch.open):
                self._look(watch, row)
            self._close_if_done(watch)
        if self._watches:
            touched = committed.touched.union(committed.writes.heads)
            for watch in list(self._watches):
                for row in sorted(touched & watch.open):
                    if watch.follow:
                        self._tell(watch, row, committed)
                    self._look(watch, row)
                self._close_if_done(watch)
        if self._logs and (committed.writes.logs or committed.writes.heads):
            for log_watch in list(self._logs):
                self._send_lines(log_watch)
                if self._moved(log_watch.row):
                    self._logs.remove(log_watch)
                    self._hand_on(log_watch, log_watch.row)
                elif self._over(log_watch.row):
                    self._logs.remove(log_watch)
                    self._reply(log_watch.asker, {})

    def expire(self) -> None:
        """End the waits whose time is over."""
        now = self._core.now.monotonic
        for watch in [w for w in self._watches if w.deadline is not None and w.deadline <= now]:
            names = [self._name(row) for row in sorted(watch.open)[:3]]
            goes_on = f"job {names[0]} on host {self._core.host!r} goes on"
            if len(names) > 1:
                goes_on = f"jobs {', '.join(names)} on host {self._core.host!r} go on"
            self.fail(
                watch,
                WaitTimedOut(
                    f"{goes_on}, but what was waited for didn't come in time: "
                    f"`sojourn show {names[0]}` tells more"
                ),
            )

    def next_deadline(self) -> float | None:
        """Give the monotonic time of the next end of patience."""
        return min((w.deadline for w in self._watches if w.deadline is not None), default=None)

    def _name(self, row: int) -> str:
        head = self._core.store.head(row)
        return head.job_id if head is not None else "?"

    def _look(self, watch: Watch, row: int) -> None:
        try:
            self._look_at(watch, row)
        except JobUnreadable as error:
            self.fail(watch, error)

    def _look_at(self, watch: Watch, row: int) -> None:
        core = self._core
        job = core.engine.job(row)
        if watch.condition is None and job is not None and not job.head.status.finished:
            return  # the end is waited for, and it goes on: nothing to read
        head = core.store.head(row)
        if head is None:
            return
        if self._moved(row):
            if row in watch.open:
                self._hand_on(watch, row)
            return
        ended = head.status.finished and row not in core.moving
        holds = watch.condition is not None and watch.condition.holds(self._view(row))
        if holds or ended or head.ownership is Ownership.FORGOTTEN:
            watch.documents[row] = document(core, row)
            watch.open.discard(row)
            if watch.condition is not None and not holds:
                watch.held = False

    def _view(self, row: int) -> ConditionView:
        core = self._core
        job = core.engine.job(row)
        if job is not None:
            return LiveView(job, shown_now(core, row, job.head))
        image = core.store.read_image(row, history=0, logs=False)
        return ImageView(image, shown_now(core, row, image.head), core.store.history_total(row))

    def _close_if_done(self, watch: Watch) -> None:
        if watch.open or len(watch.documents) < len(set(watch.rows)) or watch not in self._watches:
            return
        self._watches.remove(watch)
        found = [watch.documents[row] for row in watch.rows]
        self._reply(watch.asker, {"jobs": found, "held": watch.held})

    def _tell(self, watch: Watch, row: int, committed: Round) -> None:
        """Tell a follower of attempts that didn't succeed and of changes of status."""
        core = self._core
        head = core.store.head(row)
        if head is None:
            return
        for entry in committed.writes.history:
            # Successes are told by the document at the end: there may be thousands in a round.
            if entry.job == row and entry.outcome != Outcome.SUCCEEDED:
                event: dict[str, object] = {
                    "routine": entry.routine, "message": entry.message, "attempt": entry.attempt,
                    "outcome": Outcome(entry.outcome).word,
                }
                self._progress(watch.asker, row, head.job_id, event)
        if any(change.row == row for change in committed.changes):
            self._progress(watch.asker, row, head.job_id, None)

    def _progress(
        self, asker: Asker, row: int, job_id: str, event: dict[str, object] | None
    ) -> None:
        head = self._core.store.head(row)
        body = {
            "job_id": job_id,
            "status": shown_now(self._core, row, head) if head is not None else None,
            "host": self._core.host,
            "event": event,
        }
        self._core.send(ToAsker(asker, Progress(asker.request, json.dumps(body).encode())))

    # --- logs ---------------------------------------------------------------------------------

    def _over(self, row: int) -> bool:
        head = self._core.store.head(row)
        if head is None or head.ownership is Ownership.FORGOTTEN:
            return True
        return head.status.finished and head.ownership is Ownership.OWNED

    def _moved(self, row: int) -> bool:
        """Whether another host has the job, and it is known which."""
        head = self._core.store.head(row)
        return head is not None and head.moved_to is not None and head.ownership in (
            Ownership.GONE, Ownership.FORGOTTEN
        )

    def _send_lines(self, watch: LogWatch) -> None:
        while True:
            lines = self._core.store.logs(watch.row, watch.after, LOG_BATCH)
            if not lines:
                return
            watch.after = lines[-1].sequence
            body = {
                "lines": [
                    {
                        "seq": line.sequence, "routine": line.routine, "message": line.message,
                        "attempt": line.attempt, "at": line.at, "stream": line.stream,
                        "text": line.text,
                    }
                    for line in lines
                ]
            }
            self._core.send(
                ToAsker(watch.asker, Progress(watch.asker.request, json.dumps(body).encode()))
            )

    def _reply(self, asker: Asker, body: dict[str, Any]) -> None:
        self._core.send(ToAsker(asker, Reply(asker.request, json.dumps(body).encode())))
