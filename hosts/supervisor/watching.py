"""Those who wait for a job's end or for a condition. Fed by commits, never polling.

A commit costs what it has to do with those who wait: jobs that are watched are found by their row, and
nothing is read of them until their documents are due (see ``deliveries``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from heapq import heappop, heappush

from sojourn.hosts.supervisor.core import Asker, Core, ToAsker
from sojourn.hosts.supervisor.deliveries import Deliveries, Delivery
from sojourn.hosts.supervisor.papers import shown_now
from sojourn.hosts.supervisor.reading_logs import moved
from sojourn.runtime.conditions import Condition, ConditionView
from sojourn.runtime.engine.inputs import Round
from sojourn.runtime.engine.view import ImageView, LiveView
from sojourn.runtime.errors import JobUnreadable, SojournError, WaitTimedOut, to_wire
from sojourn.runtime.job import HistoryRow, JobHead, Outcome, Ownership
from sojourn.runtime.wire.client import Failure, Progress, encode_body

NAMED = 3
"""Jobs that a wait which took too long names."""


class Watch(Delivery, kw_only=True):
    """One wait.

    Attributes:
        open: rows whose end or condition is still to come, here or elsewhere.
        over: rows that were over on disk when the wait began, as far as that was seen.
        condition: what is waited for; None for the end.
        deadline: monotonic seconds; None for no limit.
        follow: whether news are told meanwhile.
    """

    open: set[int]
    over: frozenset[int] = frozenset()
    condition: Condition | None = None
    deadline: float | None = None
    follow: bool = False

    @property
    def close(self) -> bool:
        """Whether every commit of its jobs concerns it, and not their ends alone."""
        return self.follow or self.condition is not None


class Watching:
    """All who wait.

    Args:
        core: shared state.
        hand_on: called with (watch, row) when a watched job has moved away.
    """

    def __init__(self, core: Core, hand_on: Callable[[Watch, int], None]) -> None:
        self._core = core
        self._hand_on = hand_on
        self._watches: dict[Asker, Watch] = {}
        self._fresh: list[Watch] = []
        """Those that nobody has looked at yet."""
        self._for_ends: defaultdict[int, dict[Watch, None]] = defaultdict(dict)
        """Row → those who wait for the job's end alone."""
        self._for_all: defaultdict[int, dict[Watch, None]] = defaultdict(dict)
        """Row → those whom every commit of the job concerns."""
        self._deadlines: list[tuple[float, int, Watch]] = []
        self._numbers = 0
        self.deliveries = Deliveries(core, self._unreadable)

    # --- beginnings and ends ------------------------------------------------------------------

    def wait(self, watch: Watch) -> None:
        """Begin a wait; it is looked at once the round under way is on disk."""
        self.drop(watch.asker)
        self._watches[watch.asker] = watch
        self._fresh.append(watch)
        index = self._index(watch)
        for row in watch.open:
            index[row][watch] = None
        if watch.deadline is not None:
            self._numbers += 1
            heappush(self._deadlines, (watch.deadline, self._numbers, watch))

    def drop(self, asker: Asker) -> None:
        """Forget someone who went away."""
        watch = self._watches.pop(asker, None)
        if watch is not None:
            for row in watch.open:
                self._unlist(watch, row)
            self.deliveries.drop(watch)

    def settle(self, watch: Watch, row: int, document: bytes, *, held: bool) -> None:
        """Take in the document of a job that ended, or met the condition, on another host."""
        watch.made[row] = document
        watch.open.discard(row)
        watch.held = watch.held and held
        self._complete_if_done(watch)

    def fail(self, watch: Watch, error: SojournError) -> None:
        """End a wait with an error."""
        if not watch.dropped:
            self.drop(watch.asker)
            self._core.send(ToAsker(watch.asker, Failure(watch.asker.request, *to_wire(error))))

    def _unreadable(self, delivery: Delivery, error: JobUnreadable) -> None:
        watch = self._watches.get(delivery.asker)
        if watch is not None:
            self.fail(watch, error)

    def _index(self, watch: Watch) -> defaultdict[int, dict[Watch, None]]:
        return self._for_all if watch.close else self._for_ends

    def _unlist(self, watch: Watch, row: int) -> None:
        index = self._index(watch)
        watches = index.get(row)
        if watches is not None:
            watches.pop(watch, None)
            if not watches:
                del index[row]

    def expire(self) -> None:
        """End the waits whose time is over."""
        now = self._core.now.monotonic
        while self._deadlines and self._deadlines[0][0] <= now:
            watch = heappop(self._deadlines)[2]
            if watch.open and not watch.dropped:
                self.fail(watch, self._timed_out(watch))

    def next_deadline(self) -> float | None:
        """Give the monotonic time of the next end of patience; None for at no time."""
        while self._deadlines and not self._waits(self._deadlines[0][2]):
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def _waits(self, watch: Watch) -> bool:
        return bool(watch.open) and not watch.dropped

    def _timed_out(self, watch: Watch) -> WaitTimedOut:
        heads = [self._core.store.head(row) for row in sorted(watch.open)[:NAMED]]
        names = [head.job_id if head is not None else "?" for head in heads]
        hosts = {
            (head.moved_to if head is not None and moved(head) else None) or self._core.host
            for head in heads
        }
        where = " and ".join(repr(host) for host in sorted(hosts))
        goes_on = f"job {names[0]} on host {where} goes on"
        if len(names) > 1:
            goes_on = f"jobs {', '.join(names)} on host {where} go on"
        return WaitTimedOut(
            f"{goes_on}, but what was waited for didn't come in time: `sojourn show {names[0]}` tells more"
        )

    # --- around every commit ------------------------------------------------------------------

    def before_commit(self, round_: Round) -> None:
        """Keep what a round is about to change and someone is still to be told."""
        self.deliveries.before_commit(round_)

    def after_commit(self, committed: Round) -> None:
        """See which waits the round ends, tell followers, and send documents that are due."""
        heads = committed.writes.heads
        fresh, self._fresh = self._fresh, []
        for watch in fresh:
            self._look_at_all(watch, heads)
        if self._for_ends:
            for row in sorted(self._for_ends.keys() & heads):
                head = self._head(row, heads)
                for watch in list(self._for_ends.get(row, ())):
                    self._look(watch, row, head)
        if self._for_all:
            self._look_closely(committed)
        for delivery in self.deliveries.send():
            if self._watches.get(delivery.asker) is delivery:
                del self._watches[delivery.asker]

    def _look_at_all(self, watch: Watch, heads: Mapping[int, JobHead]) -> None:
        """Look at a wait for the first time."""
        engine = self._core.engine
        for row in list(watch.open):
            job = engine.job(row)
            if watch.condition is None and job is not None and not job.head.status.finished:
                continue  # the end is waited for, and it goes on: nothing to read
            if job is None and row in watch.over and not watch.close:
                self._end(watch, row)  # nobody took it up again meanwhile
            else:
                self._look(watch, row, self._head(row, heads))
        self._complete_if_done(watch)

    def _look_closely(self, committed: Round) -> None:
        """Look at jobs of which every commit concerns someone."""
        heads = committed.writes.heads
        rows = (self._for_all.keys() & committed.touched) | (self._for_all.keys() & heads)
        if not rows:
            return
        told: defaultdict[int, list[HistoryRow]] = defaultdict(list)
        for entry in committed.writes.history:
            # Successes are told by the document at the end: there may be thousands in a round.
            if entry.outcome != Outcome.SUCCEEDED and entry.job in rows:
                told[entry.job].append(entry)
        changed = {change.row for change in committed.changes}
        for row in sorted(rows):
            head = self._head(row, heads)
            for watch in list(self._for_all.get(row, ())):
                if watch.follow and head is not None:
                    self._tell(watch, row, head, told[row], changed=row in changed)
                self._look(watch, row, head)

    def _head(self, row: int, heads: Mapping[int, JobHead]) -> JobHead | None:
        """Give a head as it is on disk: memory has it, unless the next round has begun to change it."""
        core = self._core
        if row not in core.round.touched and row not in core.round.writes.heads:
            if row in heads:
                return heads[row]
            job = core.engine.job(row)
            if job is not None:
                return job.head
        return core.store.head(row)

    def _look(self, watch: Watch, row: int, head: JobHead | None) -> None:
        if watch.dropped or row not in watch.open or head is None:
            return
        if moved(head):
            self._unlist(watch, row)
            self._hand_on(watch, row)
            return
        ended = head.status.finished and row not in self._core.moving
        try:
            holds = watch.condition is not None and watch.condition.holds(self._view(row))
        except JobUnreadable as error:
            self.fail(watch, error)
            return
        if holds or ended or head.ownership is Ownership.FORGOTTEN:
            if watch.condition is not None and not holds:
                watch.held = False
            self._end(watch, row)
            self._complete_if_done(watch)

    def _end(self, watch: Watch, row: int) -> None:
        """A job has come to what was waited for, and is on disk like that."""
        self._unlist(watch, row)
        watch.open.discard(row)
        self.deliveries.owe(watch, row)

    def _view(self, row: int) -> ConditionView:
        core = self._core
        job = core.engine.job(row)
        if job is not None:
            return LiveView(job, shown_now(core, row, job.head))
        image = core.store.read_image(row, history=0, logs=False)
        status = shown_now(core, row, image.head)
        return ImageView(image, status, core.store.history_total(row))

    def _complete_if_done(self, watch: Watch) -> None:
        if not watch.open and not watch.dropped:
            self.deliveries.complete(watch)

    # --- news ---------------------------------------------------------------------------------

    def _tell(
        self, watch: Watch, row: int, head: JobHead, entries: list[HistoryRow], *, changed: bool
    ) -> None:
        """Tell a follower of attempts that didn't succeed and of changes of status."""
        for entry in entries:
            event: dict[str, object] = {
                "routine": entry.routine, "message": entry.message, "attempt": entry.attempt,
                "outcome": Outcome(entry.outcome).word,
            }
            self._progress(watch.asker, row, head, event)
        if changed:
            self._progress(watch.asker, row, head, None)

    def _progress(
        self, asker: Asker, row: int, head: JobHead, event: dict[str, object] | None
    ) -> None:
        body = encode_body({
            "job_id": head.job_id,
            "status": shown_now(self._core, row, head),
            "host": self._core.host,
            "event": event,
        })
        self._core.send(ToAsker(asker, Progress(asker.request, body)))
