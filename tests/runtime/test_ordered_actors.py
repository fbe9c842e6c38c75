"""An ordered actor whose attempt failed is handed nothing new before what was sent ahead has come back."""

from __future__ import annotations

from sojourn.runtime.dispatch import Dispatcher
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import Create, Now, Settle, Unsend
from sojourn.runtime.engine.model import FlowPlan, Origins
from sojourn.runtime.flow import ErrorStrategy, FlowSpec, HandlerSpec, RoutineSpec, SlotSpec
from sojourn.runtime.pool import Worker
from sojourn.runtime.values import encode_fields
from sojourn.runtime.wire.actor import Ending, Result, TurnError

NOW = Now(1000.0, 50.0)
DATA = encode_fields({}, where="x")
ORDERED = RoutineSpec(
    "step", "m:Step", b"", (SlotSpec("input", open=True),), (), HandlerSpec(ErrorStrategy.SKIP),
    ordered=True,
)
PLAN = FlowPlan("digest", FlowSpec("flow", "step", (ORDERED,)))


def test_what_comes_back_unbegun_runs_before_what_is_newer() -> None:
    engine = Engine(Origins("a", {}), lambda: 0.5)
    dispatcher = Dispatcher(engine.book)
    worker = Worker("w", ("digest", "step"), "code")
    worker.window = 2
    done = engine.step([Create(1, "job", "instance", PLAN, DATA, "")], NOW)
    job = engine.book.jobs[1]
    for _ in range(3):
        engine.book.deliver(job, done, "step", "input", DATA)
    dispatcher.enqueue()
    dispatcher.add_worker(worker)

    def send() -> list[tuple[int, int]]:
        return [
            (turn.dispatch, turn.message)
            for sent in dispatcher.assign(NOW.monotonic) for turn in sent.dispatch.turns
        ]

    (first, _), (second, number) = send()
    failed = Result(first, Ending.FAILED, 1.0, 2.0, error=TurnError("ValueError", "no"))
    engine.step([Settle(dispatcher.returned(worker, [failed], NOW.monotonic), "code")], NOW)
    worker.window = 2
    assert send() == [], f"message {number} is on its way back"

    worker.outstanding.pop(second)
    engine.step([Unsend([second])], NOW)
    assert [message for _, message in send()] == [2, 3]
