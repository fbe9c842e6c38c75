"""The main thread of an actor process: claim, run, hand in."""

from __future__ import annotations

import os
import sys
import time

import msgspec

from sojourn.actors.actor import Actor
from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.process.blobs import BlobFiles
from sojourn.actors.process.line import Line
from sojourn.actors.process.mailbox import Mailbox
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
from sojourn.runtime.wire.actor import Dispatch, Ending, Forget, JobContext, LogLine, Result, Turn

BATCH_SECONDS = 0.002
"""How long results gather while turns of microseconds follow each other: every batch costs as much as many
of them, here and at the supervisor. Those that nothing follows leave at once."""


class KnownJob(msgspec.Struct, eq=False):
    """What a process keeps of a job.

    Attributes:
        context: with the actor's attributes as they were when it was sent.
        shared: the job's shared map.
        actor: once a turn needed it.
        last_write: number of the last result of this process with shared writes.
    """

    context: JobContext
    shared: SharedState
    actor: Actor | None = None
    last_write: int = 0


class ActorLoop:
    """Runs turns until told to stop. Is the ``Surroundings`` of every turn.

    Args:
        loaded: the routine.
        mailbox: what came, and what shall leave.
        line: to the supervisor.
        page: this process's progress page.
        blobs: where large values are.
    """

    def __init__(
        self, loaded: LoadedRoutine, mailbox: Mailbox, line: Line, page: PageWriter, blobs: BlobFiles
    ) -> None:
        self._loaded = loaded
        self._mailbox = mailbox
        self._line = line
        self._page = page
        self._blobs = blobs
        self._jobs: dict[int, KnownJob] = {}
        self._unacknowledged: dict[int, KnownJob] = {}
        """Those with shared writes of this process that weren't committed when it was told last."""
        self._turn: Turn | None = None
        self._is_copy = False
        """Whether this is a process that a handler forked, which hands in nothing."""
        self._lines = 0
        self._is_strict = loaded.spec.ordered or loaded.handler.stops_the_job()
        """Whether order or STOP forbids to go on after a failed attempt."""
        self._stdout = LineWriter("stdout", 1, self._take_line)
        self._stderr = LineWriter("stderr", 2, self._take_line)

    def run(self) -> None:
        """Serve the mailbox."""
        os.register_at_fork(after_in_child=self._forked)
        sys.stdout, sys.stderr = self._stdout, self._stderr
        done: Result | None = None
        give_back = False
        mailbox, line = self._mailbox, self._line
        # wall clock when this thread looked at the line last, if it has work since
        glanced: float | None = None
        while True:
            entry = mailbox.claim(done, give_back=give_back)
            if entry is None and mailbox.stopping:
                break
            if done is not None and entry is not None:
                if glanced is None:
                    glanced = done.started
                since = done.ended - glanced
                if since >= BATCH_SECONDS or since < 0.0 or mailbox.urgent:  # clocks are set back, too
                    glanced = done.ended
                    line.glance()
            done, give_back = None, False
            if entry is None:
                line.wait(mailbox.has_work)
                glanced = None
            elif isinstance(entry, Turn):
                done = self._run(entry)
                give_back = self._is_strict and done.ending is not Ending.SUCCEEDED
            elif isinstance(entry, Dispatch):
                self._learn(entry)
            else:
                self._forget(entry)
        plain_streams()

    def _forked(self) -> None:
        """In a process that a handler forked: what it prints is no line of this process's mailbox."""
        self._turn = None
        self._is_copy = True
        plain_streams()

    def _learn(self, batch: Dispatch) -> None:
        """Take in what comes before the turns of a batch."""
        if self._unacknowledged:
            self._acknowledge(batch.acknowledged)
        for context in batch.contexts:
            known = self._jobs.get(context.job)
            if known is None:
                known = self._jobs[context.job] = KnownJob(context, SharedState())
            elif context.attributes is not None:
                known.context = context
                known.actor = None
            known.shared.update(context.shared, whole=context.shared_whole)

    def _acknowledge(self, results: int) -> None:
        """Drop own shared writes that what comes next contains."""
        for job, known in list(self._unacknowledged.items()):
            known.shared.acknowledge(results)
            if known.last_write <= results:
                del self._unacknowledged[job]

    def _forget(self, request: Forget) -> None:
        for job in request.jobs:
            self._jobs.pop(job, None)
            self._unacknowledged.pop(job, None)

    def _run(self, turn: Turn) -> Result:
        known = self._jobs[turn.job]
        self._turn = turn
        self._lines = 0
        started = self._page.begin(turn, known.context.epoch)
        actor = known.actor or self._make(known, turn, started)
        result = actor if isinstance(actor, Result) else run_turn(actor, turn, self, started)
        if self._is_copy:  # the handler returned, or failed, in a process that it forked
            flush_streams()
            os._exit(0 if result.error is None else 1)
        if self._stdout.rest or self._stderr.rest:
            self._stdout.end_turn()
            self._stderr.end_turn()
        if result.shared:
            self._note_writes(turn.job)
        self._page.finish(turn.dispatch)
        self._turn = None
        return result

    def _make(self, known: KnownJob, turn: Turn, started: float) -> Actor | Result:
        try:
            actor = Actor(self._loaded, known.context, self._blobs, shared=known.shared)
        except HostFails as fault:
            return hindered(turn, known.context.job_id, fault, started)
        except BaseException as error:  # noqa: BLE001 - a constructor or `activate` may raise anything
            return Result(
                turn.dispatch, Ending.FAILED, started, time.time(),
                error=describe_error(self._loaded, error),
            )
        known.actor = actor
        return actor

    def _note_writes(self, job: int) -> None:
        known = self._unacknowledged[job] = self._jobs[job]
        known.last_write = self.result_number()

    # --- the surroundings of a turn -------------------------------------------------------------

    def checkpoint(self, result: Result) -> bool:
        """See ``Surroundings``."""
        if self._is_copy:
            raise OutsideTurn("a process that a handler forked can't checkpoint: do it in its own")
        if self._turn is not None and result.shared:
            self._note_writes(self._turn.job)
        mailbox = self._mailbox
        mailbox.commit(result)
        self._line.wait(lambda: mailbox.granted(result.dispatch) is not None)
        granted = mailbox.granted(result.dispatch)
        return granted is not None and granted.yield_now

    def should_yield(self) -> bool:
        """See ``Surroundings``."""
        return self._turn is not None and self._mailbox.should_yield(self._turn.job)

    def time_left(self) -> float | None:
        """See ``Surroundings``."""
        return None if self._turn is None else self._mailbox.time_left(self._turn.job)

    def result_number(self) -> int:
        """See ``Surroundings``."""
        return self._mailbox.handed_in + 1

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
