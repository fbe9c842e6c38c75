"""What the two threads of an actor process share: messages to run, results to send.

The reader thread owns the socket and fills the queue; the main thread claims from it and runs
handlers. Everything here happens under one lock, and nothing here blocks but waiting for work.
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
    JobContext,
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


class Acknowledged(int):
    """How many results are committed; stands in the queue before the turns that may rely on it."""


Entry = Turn | JobContext | Acknowledged | Forget
Outgoing = Results | Recalled | ReturnedUnbegun


class Mailbox:
    """The queue between the threads.

    Attributes:
        wake: eventfd that is written when the reader has something to send.
    """

    def __init__(self) -> None:
        # Reentrant, since a signal handler or a finaliser of the user's may print in the middle of it.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._entries: deque[Entry] = deque()
        self._outgoing: list[Outgoing] = []
        """In the order in which things happened; the last batch of results is still open."""
        self._urgent = False
        """Whether what is outgoing shall leave at once, since nothing more joins it soon."""
        self._handed_in = 0
        """Results so far."""
        self._given_back: dict[int, int] = {}
        """Job → number of the result with which its turns were given back: turns that its supervisor sent
        before it had that result committed go back, too."""
        self._current: Turn | None = None
        self._granted: Committed | None = None
        self._yields: dict[int | None, float] = {}
        self._stopping = False
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    # --- the reader's side --------------------------------------------------------------------

    def deliver(self, batch: Dispatch) -> None:
        """Queue a batch."""
        with self._changed:
            self._entries.append(Acknowledged(batch.acknowledged))
            self._entries.extend(batch.contexts)
            turns = batch.turns
            if self._given_back:
                turns = self._still_wanted(batch)
            self._entries.extend(turns)
            self._changed.notify_all()

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
            back = self._take_back(recall.job)
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
        with self._changed:
            self._granted = granted
            self._changed.notify_all()

    def forget(self, request: Forget) -> None:
        """Drop turns of jobs now, and their actors when the main thread comes to it."""
        with self._changed:
            for job in request.jobs:
                self._take_back(job)
                self._yields.pop(job, None)
                self._given_back.pop(job, None)
            self._entries.append(request)
            self._changed.notify_all()

    def stop(self) -> None:
        """Let the main thread end after its turn."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def outgoing(self) -> list[Outgoing]:
        """Take everything that is to be sent, in order."""
        with self._lock:
            messages, self._outgoing = self._outgoing, []
            self._urgent = False
            return messages

    def growing(self) -> bool:
        """Whether what is outgoing may wait a moment, since more results are about to join it."""
        return bool(self._outgoing) and not self._urgent

    def _take_back(self, job: int | None) -> list[int]:
        back: list[int] = []
        kept: deque[Entry] = deque()
        for entry in self._entries:
            if isinstance(entry, Turn) and job in (None, entry.job):
                back.append(entry.dispatch)
            else:
                kept.append(entry)
        self._entries = kept
        return back

    # --- the main thread's side ---------------------------------------------------------------

    def claim(self) -> Entry | None:
        """Wait for the next thing to do; None when the process shall end."""
        with self._changed:
            while not self._entries and not self._stopping:
                self._changed.wait()
            if self._stopping:
                return None
            entry = self._entries.popleft()
            if isinstance(entry, Turn):
                self._current = entry
            return entry

    def finish(self, result: Result, *, give_back: bool) -> None:
        """Hand in the result of the current turn.

        Args:
            result: it.
            give_back: whether unbegun turns of the same job go back, since order or STOP forbids them.
        """
        with self._lock:
            current, self._current = self._current, None
            self._batch().results.append(result)
            self._handed_in += 1
            if give_back and current is not None:
                self._given_back[current.job] = self._handed_in
                back = self._take_back(current.job)
                if back:
                    self._send(ReturnedUnbegun(back))
            if not self._entries:
                self._hurry()

    def checkpoint(self, result: Result) -> bool:
        """Hand in a commit point and wait until it is durable.

        Returns:
            Whether the turn shall end there.
        """
        with self._changed:
            self._granted = None
            self._batch().results.append(result)
            self._handed_in += 1
            self._hurry()
            while self._granted is None or self._granted.dispatch != result.dispatch:
                self._changed.wait()
            return self._granted.yield_now

    def add_log(self, line: LogLine) -> None:
        """Hand in a line of log."""
        with self._lock:
            self._batch().logs.append(line)

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
        self._outgoing.append(message)
        self._hurry()

    def _hurry(self) -> None:
        """Let the reader send without waiting for more."""
        if not self._urgent:
            self._urgent = True
            os.eventfd_write(self.wake, 1)

    def _batch(self) -> Results:
        """Give the batch that the next result or line goes into; the reader is told of a new one."""
        last = self._outgoing[-1] if self._outgoing else None
        if isinstance(last, Results):
            return last
        fresh = Results([], [])
        if not self._outgoing:
            os.eventfd_write(self.wake, 1)
        self._outgoing.append(fresh)
        return fresh
