"""Records of hand-offs that ended long ago say nothing of where their job is now."""

from __future__ import annotations

import msgspec
import pytest

from sojourn.hosts.supervisor.arrivals import Arrivals
from sojourn.hosts.supervisor.claims import Contests
from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.fleet import Fleet
from sojourn.hosts.supervisor.journal import RoundLines
from sojourn.hosts.supervisor.processes import LocalProcesses
from sojourn.runtime.handoff.source import Patience
from sojourn.runtime.handoff.table import TargetState
from sojourn.runtime.handoff.target import ROLE, TargetRecord
from sojourn.runtime.job import HandoffRow, JobHead, JobStatus, Ownership, Writes
from sojourn.runtime.wire.handoff import Superseded

FIRST, SECOND = 1, 2
"""Rows under which the job came, and came again."""


@pytest.fixture
def arrivals(core: Core) -> Arrivals:
    contests = Contests(core, lambda _peer: True, lambda _job: False, lambda _instance, _epoch: False)
    fleet = Fleet(core, lambda: None, LocalProcesses())
    return Arrivals(core, fleet, Patience(), contests, RoundLines(core.log))


def came_from_b(core: Core, row: int, epoch: int, ownership: Ownership) -> None:
    """The store has the job under a row; from host b it came at epoch 2, under the first one."""
    writes = Writes()
    writes.heads[row] = JobHead(
        "job", "instance", "flow", "digest", epoch, JobStatus.RUNNING, 0.0, b"\x80", ownership=ownership,
        moved_to=None if ownership is Ownership.OWNED else "c",
    )
    core.store.commit(writes)


def record() -> HandoffRow:
    encoded = msgspec.msgpack.encode(TargetRecord("store-b", FIRST))
    return HandoffRow("m", ROLE, TargetState.OWNED.value, "job", "instance", 1, "b", encoded)


def test_a_job_that_came_again_is_not_given_up_to_force_that_is_older(
    core: Core, arrivals: Arrivals
) -> None:
    came_from_b(core, SECOND, 4, Ownership.OWNED)
    arrivals.recover(record())
    arrivals.received("b", Superseded("m", 3))
    assert core.head("job") is not None
    assert SECOND not in core.round.writes.heads, "nothing of it is written"
    assert (ROLE, "m") in core.round.writes.handoffs_deleted


def test_where_a_job_went_is_not_forgotten_over_force(core: Core, arrivals: Arrivals) -> None:
    came_from_b(core, FIRST, 2, Ownership.GONE)
    arrivals.recover(record())
    arrivals.received("b", Superseded("m", 3))
    known = core.head("job")
    assert known is not None
    assert (known[1].ownership, known[1].moved_to) == (Ownership.GONE, "c")


def test_a_job_is_given_up_to_later_force(core: Core, arrivals: Arrivals) -> None:
    came_from_b(core, FIRST, 2, Ownership.OWNED)
    arrivals.recover(record())
    arrivals.received("b", Superseded("m", 3))
    assert core.round.writes.heads[FIRST].ownership is Ownership.GONE


@pytest.mark.parametrize(("ownership", "waits"), [(Ownership.OWNED, True), (Ownership.GONE, False)])
def test_only_a_job_that_is_still_here_waits_for_the_word_of_its_source(
    core: Core, arrivals: Arrivals, ownership: Ownership, waits: bool
) -> None:
    came_from_b(core, FIRST, 2, ownership)
    arrivals.recover(record())
    assert (FIRST in core.withheld) == waits


def test_what_a_round_notes_of_the_row_that_a_job_left_is_not_written(core: Core) -> None:
    """Figures of the hand-off before may come in the round in which the job comes back, before or after."""
    came_from_b(core, FIRST, 2, Ownership.GONE)
    head = core.store.head(FIRST)
    assert head is not None
    core.round.writes.heads[FIRST] = head
    core.round.writes.jobs_removed.append(FIRST)
    core.round.writes.heads[SECOND] = msgspec.structs.replace(head, epoch=4)
    core.store.commit(core.fresh_round().writes)
    found = core.store.by_job_id("job")
    assert found is not None
    assert (found[0], found[1].epoch) == (SECOND, 4)
