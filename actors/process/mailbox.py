"""What the two threads of an actor process share: messages to run, results to send.

Who looks after the line to the supervisor fills the queue; the main thread claims from it and runs
handlers. Whatever changes anything here does so under one lock, which a turn takes once; reading one field
takes none. Nothing here waits for a message.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque

from sojourn.runtime.wire.actor import (
    Committed,
    Dispatch,
    Forget,
    LogLine,
    Recall,
    Recalled,
    Result,
    Results,
    ReturnedUnbegun,
    Turn,
    Unyield,
    Yield,
)

Entry = Turn | Dispatch | Forget
"""A batch stands before its turns: they rely on what it says of their jobs and of what is committed."""

Outgoing = Results | Recalled | ReturnedUnbegun


class Mailbox:
    """The queue between the threads.

    Attributes:
        wake: eventfd that is written where who looks after the line shall look up.
        handed_in: results so far.
        urgent: whether what is outgoing shall leave at once, since somebody waits for it.
        stopping: whether the process shall end.
    """

    def __init__(self) -> None:
        # Reentrant, since a signal handler or a finaliser of the user's may print in the middle of it.
        self._lock = threading.RLock()
        self._entries: deque[Entry] = deque()
        self._outgoing: list[Outgoing] = []
        """In the order in which things happened."""
        self._open: Results | None = None
        """The last of them, if it is a batch of results."""
        self.urgent = False
        self.handed_in = 0
        self._given_back: dict[int, int] = {}
        """Job → number of the result with which its turns were given back: turns that its supervisor sent
        before it had that result committed go back, too."""
        self._current: Turn | None = None
        self._granted: Committed | None = None
        self._yields: dict[int | None, float] = {}
        self.stopping = False
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    # --- the line's side ----------------------------------------------------------------------

    def deliver(self, batch: Dispatch) -> None:
        """Queue a batch."""
        with self._lock:
            turns = self._still_wanted(batch) if self._given_back else batch.turns
            self._entries.append(batch)
            self._entries.extend(turns)

    def _still_wanted(self, batch: Dispatch) -> list[Turn]:
        """Give back the turns that were sent before an attempt failed that forbids them."""
        for job, number in list(self._given_back.items()):
            if batch.acknowledged >= number:
                del self._given_back[job]
        back = [turn.dispatch for turn in batch.turns if turn.job in self._given_back]
        if back:
            self._send(ReturnedUnbegun(back))
        return [turn for turn in batch.turns if turn.job not in self._given_back]

    def recall(self, recall: Recall) -> None:
        """Take unbegun turns out; the answer follows every result finished before."""
        with self._lock:
            back = self._take_back(None if recall.job is None else {recall.job})
            current = self._current
            running = None
            if current is not None and recall.job in (None, current.job):
                running = current.dispatch
            self._send(Recalled(recall.recall, back, running))

    def ask_to_yield(self, request: Yield) -> None:
        """Note that turns of a job shall end soon."""
        left = float("inf") if request.time_left is None else request.time_left
        with self._lock:
            self._yields[request.job] = time.monotonic() + left

    def call_off(self, request: Unyield) -> None:
        """Note that they need not any more."""
        with self._lock:
            self._yields.pop(request.job, None)

    def grant(self, granted: Committed) -> None:
        """Let the turn go on that waits for its checkpoint."""
        with self._lock:
            self._granted = granted

    def forget(self, request: Forget) -> None:
        """Drop turns of jobs now, and their actors when the main thread comes to it."""
        with self._lock:
            self._take_back(set(request.jobs))
            for job in request.jobs:
                self._yields.pop(job, None)
                self._given_back.pop(job, None)
            self._entries.append(request)

    def stop(self) -> None:
        """Let the main thread end after its turn."""
        with self._lock:
            self.stopping = True

    def outgoing(self) -> list[Outgoing]:
        """Take everything that is to be sent, in order."""
        if not self._outgoing:
            return []
        with self._lock:
            messages, self._outgoing, self._open = self._outgoing, [], None
            self.urgent = False
            return messages

    def _take_back(self, jobs: set[int] | None) -> list[int]:
        """Take the turns of these jobs (None: of all) out."""
        back: list[int] = []
        kept: deque[Entry] = deque()
        for entry in self._entries:
            if isinstance(entry, Turn) and (jobs is None or entry.job in jobs):
                back.append(entry.dispatch)
            else:
                kept.append(entry)
        self._entries = kept
        return back

    # --- the main thread's side ---------------------------------------------------------------

    def claim(self, done: Result | None = None, *, give_back: bool = False) -> Entry | None:
        """Hand in the result of the turn that was claimed last, and take the next thing to do.

        Args:
            done: the result, if there was a turn.
            give_back: whether unbegun turns of the same job go back, since order or STOP forbids them.

        Returns:
            What to do; None if there is nothing.
        """
        lock = self._lock
        lock.acquire()  # half the price of `with`, which matters here
        try:
            if done is not None:
                self._hand_in(done, give_back=give_back)
            if not self._entries or self.stopping:
                return None
            entry = self._entries.popleft()
            if type(entry) is Turn:
                self._current = entry
            return entry
        finally:
            lock.release()

    def has_work(self) -> bool:
        """Whether there is something to do for the main thread, be it to end."""
        return bool(self._entries) or self.stopping

    def _hand_in(self, result: Result, *, give_back: bool) -> None:
        batch = self._open or self._begin_batch()
        batch.results.append(result)
        self.handed_in += 1
        if give_back and self._current is not None:
            job = self._current.job
            self._given_back[job] = self.handed_in
            back = self._take_back({job})
            if back:
                self._send(ReturnedUnbegun(back))
        self._current = None

    def commit(self, result: Result) -> None:
        """Hand in a commit point in the middle of a turn."""
        with self._lock:
            self._granted = None
            batch = self._open or self._begin_batch()
            batch.results.append(result)
            self.handed_in += 1

    def granted(self, dispatch: int) -> Committed | None:
        """Give the word that the commit point of a turn is durable, once it came."""
        granted = self._granted
        return granted if granted is not None and granted.dispatch == dispatch else None

    def add_log(self, line: LogLine) -> None:
        """Hand in a line of log."""
        with self._lock:
            fresh = self._open is None
            batch = self._open or self._begin_batch()
            batch.logs.append(line)
            if fresh:
                os.eventfd_write(self.wake, 1)  # a turn that takes long may go on talking

    def should_yield(self, job: int) -> bool:
        """Whether turns of a job shall end soon."""
        return job in self._yields or None in self._yields

    def time_left(self, job: int) -> float | None:
        """Seconds until they are interrupted; None if they aren't."""
        with self._lock:
            deadlines = [self._yields[key] for key in (job, None) if key in self._yields]
        left = min(deadlines, default=float("inf")) - time.monotonic()
        return None if left == float("inf") else max(0.0, left)

    # --- under the lock -------------------------------------------------------------------------

    def _send(self, message: Recalled | ReturnedUnbegun) -> None:
        """Queue a message that leaves at once."""
        self._open = None
        self._outgoing.append(message)
        self.urgent = True

    def _begin_batch(self) -> Results:
        """Give a batch for results and lines that come now."""
        self._open = batch = Results([], [])
        self._outgoing.append(batch)
        return batch
