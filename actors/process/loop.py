"""The main thread of an actor process: claim, run, hand in."""

from __future__ import annotations

import sys
import time

from sojourn.actors.actor import Actor
from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.process.blobs import BlobFiles
from sojourn.actors.process.mailbox import Acknowledged, Mailbox
from sojourn.actors.process.output import LINES_PER_TURN, LineWriter
from sojourn.actors.process.page import PageWriter
from sojourn.actors.shared_map import SharedState
from sojourn.actors.turn import clean, describe_error, run_turn
from sojourn.runtime.flow import ErrorStrategy
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
        self._turn: Turn | None = None
        self._units = 0
        self._lines = 0
        handler = loaded.handler
        self._gives_back = (
            loaded.spec.ordered
            or handler.stops_the_job()
            or handler.strategy is ErrorStrategy.STOP
        )
        self._stdout = LineWriter("stdout", self._take_line)
        self._stderr = LineWriter("stderr", self._take_line)

    def run(self) -> None:
        """Serve the mailbox."""
        sys.stdout = self._stdout
        sys.stderr = self._stderr
        while True:
            entry = self._mailbox.claim()
            if entry is None:
                return
            if isinstance(entry, Turn):
                self._run(entry)
            elif isinstance(entry, JobContext):
                self._learn(entry)
            elif isinstance(entry, Acknowledged):
                for shared in self._shared.values():
                    shared.acknowledge(entry)
            else:
                self._forget(entry)

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
        except BaseException as error:  # a constructor or `activate` may raise anything
            self._units += 1
            return Result(
                turn.dispatch, Ending.FAILED, started, time.time(),
                error=describe_error(self._loaded, error),
            )

    def _finish(self, turn: Turn, result: Result) -> None:
        self._stdout.end_turn()
        self._stderr.end_turn()
        self._page.finish(turn.dispatch)
        self._turn = None
        failed = result.ending is not Ending.SUCCEEDED
        self._mailbox.finish(result, give_back=failed and self._gives_back)

    # --- the surroundings of a turn -------------------------------------------------------------

    def checkpoint(self, result: Result) -> bool:
        """See ``Surroundings``."""
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
        self._take_line("log", text)

    def _take_line(self, stream: str, line: str) -> None:
        turn = self._turn
        if turn is None:
            return
        self._lines += 1
        if self._lines > LINES_PER_TURN:
            if self._lines > LINES_PER_TURN + 1:
                return
            line = f"… more than {LINES_PER_TURN} lines in one turn: the rest is dropped"
        self._mailbox.add_log(
            LogLine(turn.job, turn.message, turn.attempt, time.time(), stream, clean(line))
        )
