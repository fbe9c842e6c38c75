"""One attempt in a test: what surrounds its handler, and what became of it.

Is the ``Surroundings`` of the turn. Commits its checkpoints through the host, ends it where a fault
strikes or its time is over, and tells the host of its end.
"""

from __future__ import annotations

from typing import Any

from sojourn.actors.tester.clock import handler_time
from sojourn.actors.tester.event_loop import no_running_loop
from sojourn.actors.tester.faults import Fault, Strike, TurnKilled
from sojourn.actors.tester.host import CODE, ROW, PlayedHost
from sojourn.actors.tester.output import captured
from sojourn.actors.tester.process import PlayedProcess
from sojourn.actors.tester.reports import TurnReport
from sojourn.actors.turn import clean
from sojourn.runtime.deaths import actor_crashed, turn_timed_out
from sojourn.runtime.engine.inputs import Interrupt, Recover, Round
from sojourn.runtime.errors import UsageError
from sojourn.runtime.job import LogRow, Outcome
from sojourn.runtime.values import decode_fields
from sojourn.runtime.wire.actor import Ending, Result, Turn

GRACE = 10.0
"""Seconds that a turn in flight is waited for where its routine says nothing, as on a host."""


class Attempt:
    """One execution of a turn.

    Args:
        host: where it runs.
        process: the process that it waits in.
        turn: it.
        strike: what strikes it, if anything.

    Raises:
        UsageError: if its timeout is to strike and it has none.
    """

    def __init__(
        self, host: PlayedHost, process: PlayedProcess, turn: Turn, strike: Strike | None
    ) -> None:
        self._host = host
        self._process = process
        self._turn = turn
        self._strike = strike
        message = host.engine.book.outstanding[turn.dispatch]
        self._spec = message.actor.spec
        if strike is not None and strike.fault == "timeout" and self._spec.timeout is None:
            raise UsageError(
                f"the next turn is one of routine {self._spec.id!r}, which has no timeout that could be "
                "over: give it one with add_routine(..., timeout=)"
            )
        self._handler = message.actor.handler
        self._epoch = message.actor.job.head.epoch
        self._started = host.clock.now()
        self._at = host.clock.elapsed
        self._spent = 0.0
        self._checkpoints = 0
        self._called: float | None = None
        """Seconds of it that were spent when it was asked to end; None while it isn't."""
        self._dead: Fault | None = None
        self._committed: list[Result] = []
        self._lines: list[str] = []
        self._unsent: list[LogRow] = []
        """Lines that aren't committed yet."""
        self._last_line = host.ledger.last_numbers(ROW)[2]

    @property
    def ended_early(self) -> bool:
        """Whether a fault struck it before its handler's end."""
        strike = self._strike
        return strike is not None and strike.after is not None and self._checkpoints >= strike.after

    def run(self) -> TurnReport:
        """Execute it, and take in what comes of it."""
        strike = self._strike
        self._process.running = True
        if strike is not None and strike.fault == "move" and strike.after is None:
            self._host.freeze()
        time_around = handler_time(self._host.clock, self._spend)
        with captured(self._take_line), time_around, no_running_loop():
            result = self._process.run(self._turn, self)
        if self._dead is None and strike is not None and strike.fault != "move":
            self._dead = strike.fault
        seconds = self._spent
        return self._report(self._settle(result), seconds)

    def _settle(self, result: Result) -> Round:
        host, turn, now = self._host, self._turn, self._host.clock.now()
        match self._dead:
            case None:
                return self._commit(result)
            case "interrupt":
                return host.restart(
                    Recover(ROW, self._epoch, turn.message, turn.attempt, self._started.wall, CODE)
                )
            case "move":
                round_ = host.apply(Interrupt(turn.dispatch, self._started.wall, CODE), logs=self._unsent)
            case "crash":
                error = actor_crashed(self._handler, self._spec.id, "was killed by the test")
                round_ = self._commit(Result(turn.dispatch, Ending.FAILED, 0.0, now.wall, error=error))
            case "timeout":
                error = turn_timed_out(self._handler, self._spec.timeout)
                round_ = self._commit(Result(turn.dispatch, Ending.FAILED, 0.0, now.wall, error=error))
        host.replace(self._process)
        return round_

    def _commit(self, result: Result) -> Round:
        """Bring a commit point to the host, in virtual time."""
        result.started, result.ended = self._started.wall, self._host.clock.wall
        self._committed.append(result)
        logs, self._unsent = self._unsent, []
        return self._host.settle(self._process, result, logs)

    def _report(self, round_: Round, seconds: float) -> TurnReport:
        turn = self._turn
        entry = next(row for row in round_.writes.history if row.message == turn.message)
        last = self._committed[-1] if self._committed else None
        error = last.error if last is not None and last.ending is Ending.FAILED else None
        classes = self._process.loaded.classes
        # Any: fields are the author's own.
        emitted: list[tuple[str, dict[str, Any]]] = [
            (event, decode_fields(fields, classes, self._host.blobs))
            for committed in self._committed for event, fields in committed.emissions
        ]
        raised = self._process.raised
        return TurnReport(
            routine=self._spec.id, slot=turn.slot, message=turn.message, attempt=turn.attempt,
            outcome=Outcome(entry.outcome).word, error=error, emitted=emitted, lines=self._lines,
            host=self._host.name, epoch=self._epoch, at=self._at, seconds=seconds,
            exception=raised if self._dead is None and error is not None else None,
        )

    # --- the surroundings of the turn ----------------------------------------------------------------

    def checkpoint(self, result: Result) -> bool:
        """See ``Surroundings``."""
        self._go_on()
        self._checkpoints += 1
        self._process.results += 1
        strike = self._strike
        strikes_now = strike is not None and strike.after is not None and self.ended_early
        if strikes_now and strike is not None and strike.fault == "move" and not self.should_yield():
            self._host.freeze()
        round_ = self._commit(result)
        if strikes_now and strike is not None and strike.fault != "move":
            self._die(strike.fault)
        return any(entry.yield_now for entry in round_.checkpoints)

    def should_yield(self) -> bool:
        """See ``Surroundings``."""
        job = self._host.job
        asked = job is not None and (job.frozen or job.cancelling)
        if asked and self._called is None:
            self._called = self._spent
        return asked

    def time_left(self) -> float | None:
        """See ``Surroundings``."""
        if not self.should_yield() or self._called is None:
            return None
        grace = GRACE if self._spec.grace is None else self._spec.grace
        return max(0.0, self._called + grace - self._spent)

    def log(self, text: str) -> None:
        """See ``Surroundings``."""
        self._take_line("log", text)

    def result_number(self) -> int:
        """See ``Surroundings``."""
        return self._process.results + 1

    # --- time, death, lines --------------------------------------------------------------------------

    def _spend(self, seconds: float) -> None:
        """Let the handler sleep, unless its timeout or its grace is over before it wakes."""
        self._go_on()
        grace = self.time_left()
        timeout = None if self._spec.timeout is None else max(0.0, self._spec.timeout - self._spent)
        ends: list[tuple[float, Fault]] = []
        if timeout is not None:
            ends.append((timeout, "timeout"))
        if grace is not None:
            ends.append((grace, "move"))
        left, fault = min(ends, default=(None, None))
        if left is not None and fault is not None and seconds >= left:
            self._pass(left)
            self._die(fault)
        self._pass(seconds)

    def _pass(self, seconds: float) -> None:
        self._spent += seconds
        self._host.clock.advance(seconds)

    def _go_on(self) -> None:
        """A handler that holds its death up does nothing more."""
        if self._dead is not None:
            raise TurnKilled

    def _die(self, fault: Fault) -> None:
        self._dead = fault
        raise TurnKilled

    def _take_line(self, stream: str, text: str) -> None:
        if self._dead is not None:
            return
        line = clean(text)
        self._lines.append(line)
        self._last_line += 1
        self._unsent.append(
            LogRow(
                ROW, self._last_line, self._spec.id, self._turn.message, self._turn.attempt,
                self._host.clock.wall, stream, line,
            )
        )
