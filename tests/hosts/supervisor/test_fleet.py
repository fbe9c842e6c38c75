"""What the fleet tells its processes."""

from __future__ import annotations

from sojourn.hosts.supervisor.core import Core, ToProcess
from sojourn.hosts.supervisor.fleet import Fleet
from sojourn.hosts.supervisor.processes import LocalProcesses
from sojourn.runtime.engine.inputs import Create
from sojourn.runtime.engine.model import FlowPlan
from sojourn.runtime.flow import FlowSpec, RoutineSpec, SlotSpec
from sojourn.runtime.pool import Worker
from sojourn.runtime.values import encode_fields
from sojourn.runtime.wire.actor import Forget

STEP = RoutineSpec("step", "m:Step", b"", (SlotSpec("input", open=True),), ())
PLAN = FlowPlan("digest", FlowSpec("flow", "step", (STEP,)))
DATA = encode_fields({"n": 1}, where="x")


def test_a_process_is_told_once_of_all_the_jobs_of_a_round_that_it_can_forget(core: Core) -> None:
    fleet = Fleet(core, lambda: None, LocalProcesses())
    core.apply_all([Create(row, f"j{row}", f"i{row}", PLAN, DATA, "") for row in range(1, 5)])
    dispatcher = core.dispatcher
    dispatcher.enqueue()
    worker = Worker("w", ("digest", "step"), "code")
    worker.window = 3
    dispatcher.add_worker(worker)
    [assignment] = dispatcher.assign(core.now.monotonic)
    assert [turn.job for turn in assignment.dispatch.turns] == [1, 2, 3]

    fleet.forget([1, 3, 4])
    assert core.outbox == [ToProcess("w", Forget([1, 3]))]
    fleet.forget([1, 3, 4])
    assert len(core.outbox) == 1
