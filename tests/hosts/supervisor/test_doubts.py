"""A job about which something isn't certain is not run until nothing is uncertain any more."""

from __future__ import annotations

import pytest

from sojourn.hosts.supervisor import claims
from sojourn.hosts.supervisor.claims import Contests
from sojourn.hosts.supervisor.core import Core, ToPeer
from sojourn.hosts.supervisor.nature import read_clocks
from sojourn.runtime.engine.inputs import Adopt, Whence
from sojourn.runtime.engine.model import FlowPlan
from sojourn.runtime.flow import FlowSpec, RoutineSpec, encode_flow
from sojourn.runtime.job import HandoffFigures, JobHead, JobImage, JobStatus, MessageRow, Ownership, Writes
from sojourn.runtime.wire.claims import Asking, Claim, Claims

ROW = 1
FLOW = FlowSpec("flow", "step", (RoutineSpec("step", "flows:Step", b"\x80", (), ()),))


@pytest.fixture
def contests(core: Core) -> Contests:
    return Contests(core, lambda _peer: True, lambda _job: False, lambda _instance, _epoch: False)


def test_a_second_doubt_doesnt_take_the_place_of_the_first(core: Core, contests: Contests) -> None:
    done: list[str] = []
    contests.withhold(ROW, "m1", {"b"}, "b hasn't confirmed that it gave it away")
    contests.withhold(ROW, "m2", {"c"}, "c is asked", patience=0.0, then=lambda: done.append("m2"))
    contests.tick(read_clocks().monotonic + 1.0)
    assert done == [], "nobody has said that it has nothing of m2"
    assert core.withheld == {ROW: "b hasn't confirmed that it gave it away"}
    contests.tick(read_clocks().monotonic + 1e9)
    assert ROW in core.withheld, "the first has no patience"
    contests.settled(ROW, "m1")
    assert core.withheld == {}


def number_of_the_question(core: Core, contests: Contests) -> int:
    contests.link_up("b")
    asked = core.outbox[-1]
    assert isinstance(asked, ToPeer)
    assert isinstance(asked.message, Asking)
    return asked.message.number


def test_the_word_of_a_host_settles_only_the_doubts_that_wait_for_it(
    core: Core, contests: Contests
) -> None:
    number = number_of_the_question(core, contests)
    contests.withhold(ROW, "m1", {"b"}, "b")
    contests.withhold(ROW, "m2", {"c"}, "c")
    contests.received("c", Claims(number, []))
    assert core.withheld == {ROW: "b"}
    contests.received("b", Claims(number, []))
    assert core.withheld == {}


def test_an_answer_to_an_earlier_run_settles_nothing(core: Core, contests: Contests) -> None:
    stale = number_of_the_question(core, contests)
    core.store.incarnation += 1
    later = Contests(core, lambda _peer: True, lambda _job: False, lambda _instance, _epoch: False)
    later.withhold(ROW, "m", {"b"}, "b")
    for number in (stale, 0):
        later.received("b", Claims(number, []))
        assert ROW in core.withheld
    later.received("b", Claims(number_of_the_question(core, later), []))
    assert core.withheld == {}


def test_the_record_behind_a_doubt_goes_only_when_the_other_side_has_nothing_of_it(
    core: Core, contests: Contests
) -> None:
    done: list[str] = []
    contests.withhold(ROW, "m1", {"b"}, "b", then=lambda: done.append("m1"))
    contests.withhold(ROW, "m2", {"b"}, "b", patience=0.0, then=lambda: done.append("m2"))
    contests.tick(read_clocks().monotonic + 1.0)
    assert done == [], "nobody said anything yet"
    contests.received("b", Claims(number_of_the_question(core, contests), []))
    assert done == ["m1"]


def test_of_many_jobs_only_the_answer_to_the_last_question_settles_doubts(
    core: Core, contests: Contests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "AT_ONCE", 2)

    def three(_peer: str) -> list[str]:
        return ["j1", "j2", "j3"]

    monkeypatch.setattr(contests, "_concerning", three)
    contests.link_up("b")
    asked = [sent.message for sent in core.outbox if isinstance(sent, ToPeer)]
    numbers = [one.number for one in asked if isinstance(one, Asking)]
    contests.withhold(ROW, "m", {"b"}, "b")
    contests.received("b", Claims(numbers[0], []))
    assert ROW in core.withheld
    contests.received("b", Claims(numbers[1], []))
    assert core.withheld == {}


@pytest.fixture
def job(core: Core) -> JobHead:
    """A job of this host, at epoch 3, that once came from host b."""
    head = JobHead(
        "job", "instance", "flow", "digest", 3, JobStatus.RUNNING, 0.0, b"\x80",
        handoffs=[HandoffFigures("b", "a", 3, 1)],
    )
    writes = Writes()
    writes.heads[ROW] = head
    core.store.commit(writes)
    return head


def take_up(core: Core, job: JobHead) -> None:
    message = MessageRow(ROW, 1, "step", "input", b"\x80", 0, 0, 0.0, None)
    image = JobImage(encode_flow(FLOW), job, [message], [], [], [], [], [], [], {}, {})
    core.apply(Adopt(ROW, image, FlowPlan("digest", FLOW), (1, 0), Whence.STORE))


def said_to(core: Core, peer: str) -> list[Claim]:
    return [
        claim
        for sent in core.outbox
        if isinstance(sent, ToPeer) and sent.peer == peer and isinstance(sent.message, Claims)
        for claim in sent.message.claims
    ]


def test_two_owners_of_one_epoch_stop_each_other_whichever_of_them_asked(
    core: Core, contests: Contests, job: JobHead
) -> None:
    rivals = Claims(0, [Claim("job", "instance", 3, "owned")])
    contests.received("c", rivals)
    assert [(claim.epoch, claim.holding) for claim in said_to(core, "c")] == [(3, "owned")]


def test_a_host_that_takes_a_job_to_be_its_own_still_is_told_that_it_isnt(
    core: Core, contests: Contests, job: JobHead
) -> None:
    contests.received("c", Claims(0, [Claim("job", "instance", 2, "owned")]))
    assert [(claim.epoch, claim.holding) for claim in said_to(core, "c")] == [(3, "owned")]


def test_a_host_says_that_a_job_arrives_though_it_had_it_before(core: Core, job: JobHead) -> None:
    contests = Contests(core, lambda _peer: True, lambda _job: True, lambda _instance, _epoch: False)
    contests.received("c", Asking(0, ["job"]))
    assert [claim.holding for claim in said_to(core, "c")] == ["owned", "arriving"]


def test_a_restored_store_runs_no_job_that_a_peer_is_in_doubt_about(
    core: Core, contests: Contests, job: JobHead
) -> None:
    take_up(core, job)
    number = number_of_the_question(core, contests)
    contests.withhold_restored([ROW], {"b"})
    contests.received("b", Claims(number, [Claim("job", "", 0, "arriving")]))
    assert "--force accept" in core.withheld[ROW], "its COMMIT may be on the way"
    asked = len(core.outbox)
    contests.tick(read_clocks().monotonic + claims.PATIENCE + 1.0)
    assert len(core.outbox) == asked + 1, "it is asked again"
    contests.received("b", Claims(number, []))
    assert core.withheld == {}


def test_a_job_that_came_back_after_the_copy_goes_on_later_than_all_that_is_known_of_it(
    core: Core, contests: Contests, job: JobHead
) -> None:
    take_up(core, job)
    number = number_of_the_question(core, contests)
    contests.withhold_restored([ROW], {"b", "c"})
    contests.received("b", Claims(number, [Claim("job", "instance", 4, "gone", "a")]))
    assert job.epoch == 3, "the other one may have it"
    contests.received("c", Claims(number, []))
    assert (job.epoch, job.ownership) == (6, Ownership.OWNED)
    assert core.round.writes.heads[ROW].epoch == 6
