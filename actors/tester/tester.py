"""``FlowTester``: one job of a flow, in this process and in virtual time, by the supervisors' engine.

The face: carries out what a test asks for on the played host that has the job. What is seen of it is
``looking.py``'s, how it goes on ``running.py``'s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sojourn.actors.routine import Routine
from sojourn.actors.tester.faults import EveryTurn, Fault, Strike
from sojourn.actors.tester.host import ROW
from sojourn.actors.tester.looking import Looking
from sojourn.actors.tester.reports import TurnReport
from sojourn.actors.tester.running import MOST_TURNS, Running
from sojourn.runtime.commands import (
    check_fields,
    check_live,
    check_pause,
    check_resume,
    check_retry,
    find_question,
    given_fields,
)
from sojourn.runtime.conditions import parse
from sojourn.runtime.document import JobState, shown_status
from sojourn.runtime.engine.inputs import AnswerQuestion, CancelJob, Create, Hold, Lift, RetryJob
from sojourn.runtime.errors import JobFailed, Refused, UsageError
from sojourn.runtime.flow import INPUT_SLOT, FlowLike
from sojourn.runtime.values import decode_fields, encode_fields


# Any: inputs, states and results are the author's own.
class FlowTester(Looking):
    """Runs one job of a flow in this process: no daemon, no sockets, no disk, and no waiting.

    Engine, retry policy, dispatching, conditions and the codec are those of a supervisor; the clock is
    virtual and jumps to whatever is due next. Everything durable goes through the codec after every turn,
    and each turn begins with an actor made anew from it, so that state that would not survive a restart
    is missing here too. Use it from one thread, also where an event loop is running.

    Args:
        flow: the flow.
        move_every_turn: let a hand-off wait for every turn, and move the job to another host after it.
        crash_every_turn: interrupt every attempt after checkpoints and at its end, before its outcome
            counts.
        restart_every_turn: make the actor anew for every turn; False keeps it, as a process does that
            lives on.
        seed: shuffles turns that might run in any order, and spreads jitter; None runs the oldest first and
            takes delays as they are.
        replace: routine → an instance of another class that stands in for it. It is made anew like any
            routine, from its constructor's arguments.
        job_id: the job's id.
        host: name of its first host; the n-th one is called ``host-n``.
        start: wall clock at the begin, in seconds since the epoch; None for the real one.

    Raises:
        NotFound: if a routine's class doesn't exist, or one to replace.
        CodeNotLoadable: if a class doesn't fit the flow.
        InvalidFlow: if the flow, or a routine that stands in, can't run.
    """

    def __init__(
        self,
        flow: FlowLike,
        *,
        move_every_turn: bool = False,
        crash_every_turn: bool = False,
        restart_every_turn: bool = True,
        seed: int | None = None,
        replace: Mapping[str, Routine] | None = None,
        job_id: str = "test",
        host: str = "host-1",
        start: float | None = None,
    ) -> None:
        super().__init__(
            Running(
                flow.freeze(), replace or {}, EveryTurn(crash=crash_every_turn, move=move_every_turn),
                restart=restart_every_turn, seed=seed, host=host,
                wall=time.time() if start is None else start,
            )
        )
        self._job_id = job_id

    def __repr__(self) -> str:
        flow = self._running.host.plan.spec.id
        if not self._submitted:
            return f"<FlowTester {flow!r}, nothing submitted>"
        head = self._running.host.head
        return (
            f"<FlowTester {flow!r} {head.status.value} on {self._running.host.name} epoch {head.epoch} "
            f"after {len(self.turns)} turns>"
        )

    # --- submitting and running ----------------------------------------------------------------------

    def submit(self, data: Mapping[str, Any] | None = None, /, **input: Any) -> str:
        """Start the job; nothing of it runs yet.

        Args:
            data: fields for the entry's slot ``input``.
            **input: more fields.

        Returns:
            The job's id.

        Raises:
            InvalidInput: if the fields don't fit the entry.
            ValueNotEncodable: if a field can't be stored.
            Refused: if there is a job already.
        """
        if self._submitted:
            raise Refused(
                f"job {self._job_id} was submitted already: make another FlowTester for another job"
            )
        plan = self._running.host.plan
        fields = encode_fields(given_fields(data, input), where="input")
        check_fields(
            fields, plan.routines[plan.spec.entry].slot(INPUT_SLOT), f"the input of flow {plan.spec.id!r}"
        )
        self._submitted = True
        self._running.host.apply(
            Create(ROW, self._job_id, self._running.new_instance(), plan, fields, "")
        )
        return self._job_id

    def run(self, until: str | None = None, *, turns: int = MOST_TURNS) -> JobState:
        """Run until the job has ended, waits for an answer or is paused, or a condition holds.

        Time jumps over whatever the job waits for, except for the end of a question once only questions are
        left: answer it, or let its time pass with ``advance``.

        Args:
            until: a condition like ``failing.retry_count >= 2``, looked at after every commit.
            turns: how many turns are run at most.

        Returns:
            The job's state.

        Raises:
            UsageError: if the condition can't be read or names a routine that the flow doesn't have.
            WaitTimedOut: after so many turns.
        """
        self._require_job()
        condition = None if until is None else parse(until)
        for name in () if condition is None else condition.routines:
            self._require_routine(name, UsageError)
        self._running.run(condition, turns)
        return self.job

    def step(self, fault: Fault | None = None, *, after: int | None = None) -> TurnReport | None:
        """Run one turn, the next that can run; time jumps to it where nothing can run now.

        Args:
            fault: what strikes it: ``"interrupt"``, ``"crash"``, ``"timeout"`` or ``"move"``; None for what
                the tester does at every turn.
            after: checkpoint of the attempt, from 1, after which it strikes; None for the handler's end. A
                hand-off (``"move"``) waits for the turn from there; with None, from its begin.

        Returns:
            What it did; None where the job has ended, waits for an answer or is paused.

        Raises:
            UsageError: if there is no such fault.
        """
        self._require_job()
        return self._running.step(Strike.of(fault, after))

    def advance(self, seconds: float, *, turns: int = MOST_TURNS) -> JobState:
        """Let virtual time pass, with everything that is due in it: retries, ends of questions, turns.

        Args:
            seconds: how long.
            turns: how many turns are run at most.

        Returns:
            The job's state then.

        Raises:
            WaitTimedOut: after so many turns.
        """
        self._require_job()
        if seconds < 0:
            raise UsageError(f"time doesn't go back: advance takes seconds from 0, not {seconds!r}")
        self._running.advance(seconds, turns)
        return self.job

    # --- acting on the job ---------------------------------------------------------------------------

    def answer(
        self, data: Mapping[str, Any] | None = None, /, *, question: str | None = None, **input: Any
    ) -> None:
        """Answer an open question, as ``sojourn resume --input`` does.

        Args:
            data: fields of the answer.
            question: which question, where several are open.
            **input: more fields.

        Raises:
            Refused: if none is open.
            AmbiguousName: if several are and none is named.
            InvalidInput: if the fields don't fit its slot.
        """
        self._require_job()
        host = self._running.host
        check_live(host.head, host.name, "resume")
        questions = {} if host.job is None else host.job.questions
        asked = find_question(questions, host.head, host.name, question)
        fields = encode_fields(given_fields(data, input), where="the answer")
        slot = host.plan.routines[asked.routine].slot(asked.slot)
        check_fields(fields, slot, f"the answer for {asked.routine}.{asked.slot}")
        host.apply(AnswerQuestion(ROW, asked.question, fields))

    def pause(self) -> None:
        """Let no new turn start.

        Raises:
            Refused: if the job has ended or is paused already.
        """
        self._require_job()
        check_pause(self._running.host.head, self._running.host.name)
        self._running.host.apply(Hold(ROW))

    def resume(self) -> None:
        """Lift a pause.

        Raises:
            Refused: if there is none.
        """
        self._require_job()
        host = self._running.host
        asks = host.job is not None and bool(host.job.questions)
        check_resume(host.head, host.name, shown_status(host.head), asks=asks)
        host.apply(Lift(ROW))

    def cancel(self) -> None:
        """Cancel the job.

        Raises:
            Refused: if it has ended.
        """
        self._require_job()
        check_live(self._running.host.head, self._running.host.name, "cancel")
        self._running.host.apply(CancelJob(ROW))

    def retry(self) -> None:
        """Give a failed job's messages a fresh budget.

        Raises:
            Refused: if the job hasn't failed.
        """
        self._require_job()
        host = self._running.host
        check_retry(host.head, host.name, shown_status(host.head))
        if host.job is None:
            host.apply(host.adoption(), RetryJob(ROW))
        else:
            host.apply(RetryJob(ROW))

    def move(self, to: str | None = None, *, seconds: float = 0.0) -> None:
        """Move the job to another host, between two turns.

        It is frozen, its image taken as a hand-off takes it (dues count from now), encoded, checked and
        decoded, and taken up at the next epoch by a host that has nothing else of it.

        Args:
            to: name of the host.
            seconds: how long that takes; the job doesn't wait on in that time.

        Raises:
            Refused: if the job has ended.
        """
        self._require_job()
        self._running.move(to, seconds)

    def crash(self, *, seconds: float = 0.0) -> None:
        """Let the supervisor die between two turns, and begin again from what is committed.

        Args:
            seconds: how long it is away; what is due meanwhile is due at its return.
        """
        self._require_job()
        self._running.crash(seconds)

    def result(self) -> dict[str, Any]:
        """Run the job to its end and give its result, as Python values.

        Raises:
            JobFailed: if it failed or was cancelled; its cause is what the handler raised.
            Refused: if it waits for an answer or is paused.
        """
        state = self.run()
        if state.status == "paused":
            why = state.reason or "resume() lifts that"
            raise Refused(f"job {self._job_id} has no result yet, it is paused: {why}")
        if state.status != "completed":
            error = state.error
            why = f": {error['type']}: {error['message']}" if error else ""
            raised = next((turn.exception for turn in reversed(self.turns) if turn.error is not None), None)
            raise JobFailed(f"job {self._job_id} {state.status} on host {state.host!r}{why}") from raised
        encoded = self._running.host.head.result
        if encoded is None:
            return {}
        return decode_fields(encoded, self._running.classes, self._running.host.blobs)
