"""The main thread of an actor process: claim, run, hand in."""

from __future__ import annotations

import os
import sys
import time

from sojourn.actors.actor import Actor
from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.process.blobs import BlobFiles
from sojourn.actors.process.mailbox import Acknowledged, Mailbox
from sojourn.actors.process.output import (
    LINES_PER_TURN,
    LineWriter,
    cut,
    flush_streams,
    plain_streams,
)
from sojourn.actors.process.page import PageWriter
from sojourn.actors.shared_map import SharedState
from sojourn.actors.turn import clean, describe_error, run_turn
from sojourn.actors.turn_errors import HostFails, hindered
from sojourn.runtime.errors import OutsideTurn
from sojourn.runtime.wire.actor import Ending, Forget, JobContext, LogLine, Result, Turn


class ActorLoop:
    """Runs turns until told to stop. Is the ``Surroundings`` of every turn.

    Args:
        loaded: the routine.
        mailbox: shared with the reader thread.
        page: this process's progress page.
        blobs: where large values are.
    """

    def __init__(
        self, loaded: LoadedRoutine, mailbox: Mailbox, page: PageWriter, blobs: BlobFiles
    ) -> None:
        self._loaded = loaded
        self._mailbox = mailbox
        self._page = page
        self._blobs = blobs
        self._contexts: dict[int, JobContext] = {}
        self._actors: dict[int, Actor] = {}
        self._shared: dict[int, SharedState] = {}
        self._unacknowledged: dict[int, int] = {}
        """Job → number of the last result of this process with shared writes of it."""
        self._turn: Turn | None = None
        self._is_copy = False
        """Whether this is a process that a handler forked, which hands in nothing."""
        self._units = 0
        self._lines = 0
        self._gives_back = loaded.spec.ordered or loaded.handler.stops_the_job()
        self._stdout = LineWriter("stdout", 1, self._take_line)
        self._stderr = LineWriter("stderr", 2, self._take_line)

    def run(self) -> None:
        """Serve the mailbox."""
        os.register_at_fork(after_in_child=self._forked)
        sys.stdout, sys.stderr = self._stdout, self._stderr
        while (entry := self._mailbox.claim()) is not None:
            match entry:
                case Turn():
                    self._run(entry)
                case JobContext():
                    self._learn(entry)
                case Acknowledged():
                    self._acknowledge(entry)
                case Forget():
                    self._forget(entry)
        plain_streams()

    def _forked(self) -> None:
        """In a process that a handler forked: what it prints is no line of this process's mailbox."""
        self._turn = None
        self._is_copy = True
        plain_streams()

    def _acknowledge(self, results: int) -> None:
        """Drop own shared writes that what comes next contains."""
        for job, last in list(self._unacknowledged.items()):
            self._shared[job].acknowledge(results)
            if last <= results:
                del self._unacknowledged[job]

    def _learn(self, context: JobContext) -> None:
        """Take in what comes before turns of a job."""
        job = context.job
        shared = self._shared.setdefault(job, SharedState())
        shared.update(context.shared, whole=context.shared_whole)
        if context.attributes is not None or job not in self._contexts:
            self._contexts[job] = context
            self._actors.pop(job, None)

    def _forget(self, request: Forget) -> None:
        for job in request.jobs:
            self._actors.pop(job, None)
            self._contexts.pop(job, None)
            self._shared.pop(job, None)
            self._unacknowledged.pop(job, None)

    def _run(self, turn: Turn) -> None:
        context = self._contexts[turn.job]
        self._turn = turn
        self._lines = 0
        self._page.begin(turn, context.epoch)
        actor = self._actors.get(turn.job)
        if actor is None:
            made = self._make(context, turn)
            if isinstance(made, Result):
                self._finish(turn, made)
                return
            actor = self._actors[turn.job] = made
        self._finish(turn, run_turn(actor, turn, self))

    def _make(self, context: JobContext, turn: Turn) -> Actor | Result:
        started = time.time()
        try:
            return Actor(
                self._loaded, context, self._blobs, shared=self._shared[context.job]
            )
        except HostFails as fault:
            self._units += 1
            return hindered(turn, context.job_id, fault, started)
        except BaseException as error:  # noqa: BLE001 - a constructor or `activate` may raise anything
            self._units += 1
            return Result(
                turn.dispatch, Ending.FAILED, started, time.time(),
                error=describe_error(self._loaded, error),
            )

    def _finish(self, turn: Turn, result: Result) -> None:
        if self._is_copy:  # the handler returned, or failed, in a process that it forked
            flush_streams()
            os._exit(0 if result.error is None else 1)
        self._stdout.end_turn()
        self._stderr.end_turn()
        self._note_writes(turn, result)
        self._page.finish(turn.dispatch)
        self._turn = None
        failed = result.ending is not Ending.SUCCEEDED
        self._mailbox.finish(result, give_back=failed and self._gives_back)

    def _note_writes(self, turn: Turn, result: Result) -> None:
        if result.shared:
            self._unacknowledged[turn.job] = self._units

    # --- the surroundings of a turn -------------------------------------------------------------

    def checkpoint(self, result: Result) -> bool:
        """See ``Surroundings``."""
        if self._is_copy:
            raise OutsideTurn("a process that a handler forked can't checkpoint: do it in its own")
        if self._turn is not None:
            self._note_writes(self._turn, result)
        return self._mailbox.checkpoint(result)

    def should_yield(self) -> bool:
        """See ``Surroundings``."""
        return self._turn is not None and self._mailbox.should_yield(self._turn.job)

    def time_left(self) -> float | None:
        """See ``Surroundings``."""
        return None if self._turn is None else self._mailbox.time_left(self._turn.job)

    def next_unit(self) -> int:
        """See ``Surroundings``."""
        self._units += 1
        return self._units

    def log(self, text: str) -> None:
        """See ``Surroundings``."""
        self._take_line("log", cut(text))

    def _take_line(self, stream: str, line: str) -> bool:
        """Keep a line with the turn that is running; False if there is none."""
        turn = self._turn
        if turn is None:
            return False
        self._lines += 1
        if self._lines > LINES_PER_TURN + 1:
            return True
        if self._lines > LINES_PER_TURN:
            line = f"… more than {LINES_PER_TURN} lines in one turn: the rest is dropped"
        self._mailbox.add_log(
            LogLine(turn.job, turn.message, turn.attempt, time.time(), stream, clean(line))
        )
        return True
