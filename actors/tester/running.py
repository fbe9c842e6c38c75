"""How a job under test goes on: which turn is next, when time jumps, what strikes, and where it moves.

Owns the host that has the job. Knows nothing of what tests ask or see.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping

from sojourn.actors.classes import AnyLoadedClass
from sojourn.actors.routine import Routine
from sojourn.actors.tester.attempt import Attempt
from sojourn.actors.tester.clock import VirtualClock
from sojourn.actors.tester.faults import EveryTurn, Strike
from sojourn.actors.tester.host import ROW, PlayedHost
from sojourn.actors.tester.process import PlayedProcess
from sojourn.actors.tester.reports import TurnReport
from sojourn.actors.tester.routines import load_routines
from sojourn.runtime.commands import check_live
from sojourn.runtime.conditions import Condition, ConditionView
from sojourn.runtime.document import shown_status
from sojourn.runtime.engine.inputs import Round
from sojourn.runtime.engine.model import FlowPlan
from sojourn.runtime.engine.view import ImageView, LiveView
from sojourn.runtime.errors import Refused, WaitTimedOut
from sojourn.runtime.flow import FlowSpec, decode_flow, encode_flow
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.job import JobStatus

MOST_TURNS = 10_000
"""Turns after which a flow is taken for one that never ends."""

ROUNDING = 1e-4
"""Seconds by which times that went through a wall clock may be off, after many hand-offs."""


class Running:
    """A job on its way from host to host.

    Args:
        flow: its flow.
        doubles: routines that stand in for the flow's.
        every_turn: what strikes at every turn.
        restart: whether every turn begins with an actor made anew.
        seed: of the order of turns and of jitter; None for neither.
        host: name of the first host.
        wall: wall clock at the begin, in seconds since the epoch.
    """

    def __init__(
        self, flow: FlowSpec, doubles: Mapping[str, Routine], every_turn: EveryTurn, *, restart: bool,
        seed: int | None, host: str, wall: float,
    ) -> None:
        flow = decode_flow(encode_flow(flow))
        self._plan = FlowPlan(flow_digest(flow), flow)
        self._routines = load_routines(flow, doubles)
        self.classes = AnyLoadedClass()
        self._every_turn = every_turn
        self._restart = restart
        self._random = None if seed is None else random.Random(seed)
        self._clock = VirtualClock(wall)
        self._condition: Condition | None = None
        self._condition_held = False
        self._busy = False
        self.reports: list[TurnReport] = []
        self.host = self._new_host(host)

    def new_instance(self) -> str:
        """Make the job's instance UUID: the same for the same seed, else another for every tester."""
        if self._random is None:
            return str(uuid.uuid4())
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _new_host(self, name: str) -> PlayedHost:
        draw = (lambda: 0.5) if self._random is None else self._random.random
        return PlayedHost(name, self._clock, self._plan, self._routines, draw, self._look)

    # --- going on ------------------------------------------------------------------------------------

    def run(self, condition: Condition | None, turns: int) -> None:
        """Take turns until none is left or a condition held at a commit.

        Raises:
            WaitTimedOut: after so many turns.
        """
        self._refuse_inside_a_turn()
        self._condition = condition
        self._condition_held = condition is not None and condition.holds(self._view())
        try:
            while waiting := self._next():
                if turns == 0:
                    raise self._endless()
                turns -= 1
                self._turn(waiting, None)
        finally:
            self._condition, self._condition_held = None, False

    def step(self, strike: Strike | None) -> TurnReport | None:
        """Run the next turn; time jumps to it. None where nothing runs by itself."""
        self._refuse_inside_a_turn()
        waiting = self._next()
        return self._turn(waiting, strike) if waiting else None

    def _next(self) -> list[PlayedProcess]:
        """Give the processes that have a turn; time jumps until one has, or nothing runs by itself."""
        while not self._condition_held:
            waiting = self.host.hand_out()
            if waiting:
                return waiting
            due = self.host.next_due
            job = self.host.job
            if due is None or job is None or job.head.status is JobStatus.PAUSED:
                break
            self._clock.jump(due)
            self.host.apply()
        return []

    def advance(self, seconds: float, turns: int) -> None:
        """Let time pass with what is due in it.

        Raises:
            WaitTimedOut: after so many turns.
        """
        self._refuse_inside_a_turn()
        end = self._clock.elapsed + seconds
        while True:
            if waiting := self.host.hand_out():
                if turns == 0:
                    raise self._endless()
                turns -= 1
                self._turn(waiting, None)
                continue
            due = self.host.next_due
            if due is None or self._clock.until(due) > end + ROUNDING:
                self._clock.advance(max(0.0, end - self._clock.elapsed))
                return
            self._clock.jump(due)
            self.host.apply()

    def _endless(self) -> WaitTimedOut:
        head = self.host.head
        return WaitTimedOut(
            f"job {head.job_id} on host {self.host.name!r} goes on after {len(self.reports)} turns and "
            f"{self._clock.elapsed:.1f} virtual seconds: allow more with turns=, if it is one that ends"
        )

    def _turn(self, waiting: list[PlayedProcess], strike: Strike | None) -> TurnReport:
        process = waiting[0] if self._random is None else self._random.choice(waiting)
        turn = process.turn
        assert turn is not None  # it waits
        by_itself = strike is None
        if strike is None:
            strike = self._every_turn.strike(turn.message, turn.attempt)
        attempt = Attempt(self.host, process, turn, strike)
        self._busy = True
        try:
            report = attempt.run()
        finally:
            self._busy = False
        self.reports.append(report)
        if by_itself and strike is not None:
            self._every_turn.struck(
                turn.message, turn.attempt, strike, at_end=not attempt.ended_early
            )
        if self._restart:
            self.host.replace(process)
        self._move_if_due(strike)
        raised = report.exception
        if raised is not None and not isinstance(raised, (Exception, SystemExit)):
            raise raised  # Ctrl-C, and what pytest ends tests with
        return report

    # --- hosts ---------------------------------------------------------------------------------------

    def move(self, to: str | None, seconds: float) -> None:
        """Bring the job to another host.

        Raises:
            Refused: if it has ended.
        """
        self._refuse_inside_a_turn()
        source = self.host
        check_live(source.head, source.name, "move")
        if to == source.name:
            raise Refused(f"job {source.head.job_id} is on host {to!r} already: move it to another one")
        if source.job is not None and not source.job.frozen:
            source.freeze()
        luggage = source.pack()
        self._clock.advance(seconds)
        self._clock.another_host()
        self.host = self._new_host(to or f"host-{source.head.epoch + 1}")
        self.host.unpack(luggage, source.name)

    def _move_if_due(self, strike: Strike | None) -> None:
        job = self.host.job
        if job is None:
            return
        asked = strike is not None and strike.fault == "move"
        if not asked and not self._every_turn.move:
            return
        if not job.head.status.finished:
            self.move(None, 0.0)
        elif job.frozen:
            self.host.thaw()

    def crash(self, seconds: float) -> None:
        """Let the supervisor die and begin again."""
        self._refuse_inside_a_turn()
        self._clock.advance(seconds)
        self.host.restart()

    def _refuse_inside_a_turn(self) -> None:
        if self._busy:
            raise Refused(
                f"a turn of job {self.host.head.job_id} is running: this can't be done from a handler; let "
                "faults strike in it with step(fault, after=...)"
            )

    # --- conditions ----------------------------------------------------------------------------------

    def _look(self, _round: Round) -> None:
        """See whether what is waited for holds at this commit."""
        if self._condition is not None and not self._condition_held:
            self._condition_held = self._condition.holds(self._view())

    def _view(self) -> ConditionView:
        host = self.host
        if host.job is not None:
            return LiveView(host.job, shown_status(host.job.head))
        image = host.ledger.image(ROW, history=False, logs=False)
        return ImageView(image, shown_status(image.head), host.ledger.history_total(ROW))
