"""Those who wait: told of the end, by few looks, in pieces, and never before it is on disk."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from sojourn.hosts.supervisor.core import Asker, Core, ToAsker
from sojourn.hosts.supervisor.deliveries import FIRST_PIECE, LARGEST_PIECE, MOST_BYTES
from sojourn.hosts.supervisor.papers import document
from sojourn.hosts.supervisor.watching import Watch, Watching
from sojourn.runtime.conditions import parse
from sojourn.runtime.engine.inputs import CancelJob, Create, Now, RetryJob, Settle
from sojourn.runtime.engine.model import FlowPlan
from sojourn.runtime.flow import EventSpec, FlowSpec, RoutineSpec, SlotSpec, encode_flow
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.pool import Worker
from sojourn.runtime.values import encode_fields
from sojourn.runtime.wire.actor import Ending, Result, TurnError
from sojourn.runtime.wire.client import Failure, Progress, Reply
from tests.runtime.test_effort import calls_of

FLOW = FlowSpec("flow", "step", (
    RoutineSpec("step", "m:Step", b"\x80", (SlotSpec("input", open=True),), (EventSpec("output"),)),
))
DIGEST = flow_digest(FLOW)
DATA = encode_fields({"n": 1}, where="x")


class Host:
    """A host without processes: what happens to its jobs is told to it, and each round is committed."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.watching = Watching(core, self._moved)
        self.moved: list[int] = []
        self.sent: list[ToAsker] = []
        core.round.writes.flows_put[DIGEST] = encode_flow(FLOW)
        self.plan: FlowPlan = core.plan(DIGEST, encode_flow(FLOW))

    def _moved(self, _watch: Watch, row: int) -> None:
        self.moved.append(row)

    def commit(self) -> None:
        """Make a round of what happened."""
        core = self.core
        self.watching.before_commit(core.round)
        committed = core.fresh_round()
        core.store.commit(committed.writes)
        self.watching.after_commit(committed)
        self.sent += [message for message in core.outbox if isinstance(message, ToAsker)]
        core.outbox.clear()

    def submit(self, *names: str) -> list[int]:
        rows = [self.core.new_row(name) for name in names]
        self.core.apply_all([
            Create(row, name, f"instance of {name}", self.plan, DATA, "")
            for row, name in zip(rows, names, strict=True)
        ])
        self.commit()
        return rows

    def take_turn(self, row: int, ending: Ending) -> None:
        """Let a job's next turn end, in the round under way."""
        core = self.core
        if "w" not in core.dispatcher.workers:
            core.dispatcher.enqueue()
            core.dispatcher.add_worker(Worker("w", (DIGEST, "step"), "code"))
        worker = core.dispatcher.workers["w"]
        worker.window = 512
        core.dispatcher.assign(0.0)
        dispatch = next(
            number for number, message in worker.outstanding.items() if message.actor.job.row == row
        )
        error = TurnError("ValueError", "no") if ending is Ending.FAILED else None
        del worker.outstanding[dispatch]
        core.apply(Settle([Result(dispatch, ending, 1.0, 2.0, error=error)], "code"))

    def wait(self, *rows: int, number: int = 1, **options: Any) -> Watch:
        watch = Watch(
            Asker(b"client", "", 0, number), list(rows), repeats=len(set(rows)) < len(rows),
            open=set(rows), **options,
        )
        self.watching.wait(watch)
        return watch

    def documents(self) -> list[dict[str, Any]]:
        """Give the documents that were sent to the one who waits; his answer is complete."""
        assert all(isinstance(sent.answer, Progress) for sent in self.sent[:-1])
        assert isinstance(self.sent[-1].answer, Reply)
        found: list[dict[str, Any]] = []
        for sent in self.sent:
            assert not isinstance(sent.answer, Failure)
            body = json.loads(sent.answer.body)
            assert body["at"] == len(found)
            found += body["jobs"]
        return found


@pytest.fixture
def host(core: Core) -> Host:
    return Host(core)


def test_the_end_of_a_job_is_told_with_the_commit_that_holds_it(host: Host) -> None:
    (row,) = host.submit("one")
    host.wait(row)
    host.commit()
    host.take_turn(row, Ending.SUCCEEDED)
    assert not host.sent
    host.commit()
    (told,) = host.documents()
    assert told == document(host.core, row)
    assert (told["status"], told["history_total"]) == ("completed", 1)


def test_documents_of_many_come_in_the_order_asked_for_and_in_pieces(host: Host) -> None:
    rows = host.submit(*(f"job-{number}" for number in range(3 * LARGEST_PIECE)))
    asked = [*reversed(rows), rows[0]]
    host.core.apply_all([CancelJob(row) for row in rows])
    host.commit()
    host.wait(*asked)
    rounds = 0
    while not host.sent or isinstance(host.sent[-1].answer, Progress):
        host.commit()
        rounds += 1
    assert rounds >= len(asked) / LARGEST_PIECE
    assert len(json.loads(host.sent[0].answer.body)["jobs"]) == FIRST_PIECE  # type: ignore[union-attr]
    assert [told["job_id"] for told in host.documents()] == [f"job-{row - 1}" for row in asked]
    assert not host.watching.deliveries.under_way


def test_nothing_is_read_of_jobs_before_the_last_of_them_has_ended(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = host.submit("one", "two")
    host.wait(*rows)
    host.commit()
    read: list[object] = []
    shown = host.core.store.read_shown

    def reading(rows: list[int], **bounds: int) -> object:
        read.append(list(rows))
        return shown(rows, **bounds)

    monkeypatch.setattr(host.core.store, "read_shown", reading)
    host.take_turn(rows[0], Ending.SUCCEEDED)
    host.commit()
    assert not read
    host.take_turn(rows[1], Ending.SUCCEEDED)
    host.commit()
    assert read == [rows]
    assert [told["status"] for told in host.documents()] == ["completed", "completed"]


def test_a_job_that_is_tried_again_meanwhile_is_told_of_as_it_ended(host: Host) -> None:
    failing, other = host.submit("failing", "other")
    host.wait(failing, other)
    host.take_turn(failing, Ending.FAILED)
    host.commit()
    host.core.apply(host.core.adoption(failing), RetryJob(failing))
    host.commit()
    host.take_turn(failing, Ending.SUCCEEDED)
    host.commit()
    host.take_turn(other, Ending.SUCCEEDED)
    host.commit()
    first, second = host.documents()
    assert (first["status"], first["history_total"], first["error"]["type"]) == ("failed", 1, "ValueError")
    assert second["status"] == "completed"
    assert document(host.core, failing)["status"] == "completed"


def test_a_job_that_is_forgotten_meanwhile_is_told_of_as_it_ended(host: Host) -> None:
    one, other = host.submit("one", "other")
    host.wait(one, other)
    host.take_turn(one, Ending.SUCCEEDED)
    host.commit()
    _, head = host.core.find("one")
    host.core.forget_rows(one, head)
    host.commit()
    host.take_turn(other, Ending.SUCCEEDED)
    host.commit()
    assert [told["history_total"] for told in host.documents()] == [1, 1]


def test_a_job_that_changes_while_pieces_are_sent_is_told_of_as_it_ended(host: Host) -> None:
    rows = host.submit(*(f"job-{number}" for number in range(FIRST_PIECE + 1)))
    host.wait(*rows)
    host.core.apply_all([CancelJob(row) for row in rows])
    host.commit()
    assert host.watching.deliveries.under_way
    _, head = host.core.find(f"job-{FIRST_PIECE}")
    host.core.forget_rows(rows[-1], head)
    host.commit()
    assert [told["status"] for told in host.documents()] == ["cancelled"] * len(rows)
    assert host.documents()[-1]["pending_total"] == 1


def test_a_condition_is_told_with_the_document_of_its_moment(host: Host) -> None:
    (row,) = host.submit("one")
    host.wait(row, condition=parse("step.failed >= 1 or history >= 1"))
    host.commit()
    assert not host.sent
    host.take_turn(row, Ending.FAILED)
    host.commit()
    body = json.loads(host.sent[0].answer.body)  # type: ignore[union-attr]
    assert body["held"] is True
    assert body["jobs"][0]["history_total"] == 1


def test_an_end_before_the_condition_is_told_as_such(host: Host) -> None:
    (row,) = host.submit("one")
    host.wait(row, condition=parse("history >= 5"))
    host.take_turn(row, Ending.SUCCEEDED)
    host.commit()
    assert json.loads(host.sent[0].answer.body)["held"] is False  # type: ignore[union-attr]


def test_many_who_wait_for_one_job_are_all_told(host: Host) -> None:
    (row,) = host.submit("one")
    for number in range(1, 1001):
        host.wait(row, number=number)
    host.take_turn(row, Ending.SUCCEEDED)
    while len(host.sent) < 1000:
        host.commit()
    assert sorted(sent.asker.request for sent in host.sent) == list(range(1, 1001))
    assert {type(sent.answer) for sent in host.sent} == {Reply}


def test_a_large_document_isnt_sent_to_everybody_in_one_round(host: Host) -> None:
    (row,) = host.submit("one")
    large = encode_fields({"text": "x" * (MOST_BYTES // 4)}, where="x")
    host.core.round.writes.shared[(row, "large")] = large
    for number in range(1, 21):
        host.wait(row, number=number)
    host.core.apply(CancelJob(row))
    rounds = 0
    while len(host.sent) < 20:
        host.commit()
        rounds += 1
    assert rounds == 5
    assert sorted(sent.asker.request for sent in host.sent) == list(range(1, 21))


def test_a_round_costs_nothing_for_those_who_wait_for_other_jobs(host: Host) -> None:
    busy, *others = host.submit("busy", *(f"job-{number}" for number in range(200)))

    def cost(watchers: int) -> int:
        for number, row in enumerate(others[:watchers], start=1):
            host.wait(row, number=number, deadline=1e12)
        host.commit()
        host.core.engine.step((), Now(0.0, 0.0), host.core.round)
        host.core.round.touched.add(busy)
        host.core.round.writes.heads[busy] = host.core.find("busy")[1]
        return calls_of(host.commit)

    assert cost(200) == cost(2)


def test_jobs_that_are_over_are_known_by_one_look(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"job-{number}" for number in range(20)]
    rows = host.submit(*names)
    host.core.apply_all([CancelJob(row) for row in rows[:-1]])
    host.commit()

    def refuse(_wanted: object) -> None:
        raise AssertionError("a head was read by itself")

    for read in ("head", "by_job_id", "find"):
        monkeypatch.setattr(host.core.store, read, refuse)
    found, over = host.core.owned_rows(names)
    assert found == rows
    assert over == set(rows[:-1])
    host.wait(*found, over=over)
    host.commit()
    assert not host.sent
    host.core.apply(CancelJob(rows[-1]))
    host.commit()
    assert [told["job_id"] for told in host.documents()] == names


def test_a_job_that_is_taken_up_again_as_the_wait_begins_is_waited_for(host: Host) -> None:
    again, other = host.submit("again", "other")
    for row in (again, other):
        host.take_turn(row, Ending.FAILED)
    host.commit()
    found, over = host.core.owned_rows(["again", "other"])
    assert over == {again, other}
    host.wait(*found, over=over)
    host.core.apply(host.core.adoption(again), RetryJob(again))
    host.commit()
    assert not host.sent
    host.take_turn(again, Ending.SUCCEEDED)
    host.commit()
    assert [told["status"] for told in host.documents()] == ["completed", "failed"]


def test_who_went_away_is_sent_nothing(host: Host) -> None:
    rows = host.submit(*(f"job-{number}" for number in range(FIRST_PIECE + 1)))
    watch = host.wait(*rows)
    host.core.apply_all([CancelJob(row) for row in rows])
    host.commit()
    sent = len(host.sent)
    host.watching.drop(watch.asker)
    host.commit()
    host.core.forget_rows(rows[-1], host.core.find(f"job-{FIRST_PIECE}")[1])
    host.commit()
    assert len(host.sent) == sent == 1


def test_patience_ends_for_one_and_the_job_goes_on(host: Host) -> None:
    one, two = host.submit("one", "two")
    host.wait(one, two, number=1, deadline=10.0)
    host.wait(one, number=2, deadline=20.0)
    host.commit()
    assert host.watching.next_deadline() == 10.0
    host.core.now = Now(0.0, 15.0)
    host.watching.expire()
    host.commit()
    (told,) = host.sent
    assert told.asker.request == 1
    assert isinstance(told.answer, Failure)
    assert "jobs one, two on host 'a' go on" in told.answer.message
    assert host.watching.next_deadline() == 20.0
    host.take_turn(one, Ending.SUCCEEDED)
    host.commit()
    assert isinstance(host.sent[-1].answer, Reply)
    assert host.watching.next_deadline() is None


def test_between_hosts_the_answer_is_one_message(host: Host) -> None:
    rows = host.submit(*(f"job-{number}" for number in range(FIRST_PIECE + 1)))
    watch = Watch(Asker(b"", "b", 1, 7), rows, open=set(rows))
    host.watching.wait(watch)
    host.core.apply_all([CancelJob(row) for row in rows])
    while not host.sent:
        host.commit()
    assert len(host.documents()) == len(rows)
    assert len(host.sent) == 1


def test_a_damaged_job_ends_the_wait_for_it_and_no_other(host: Host) -> None:
    good, bad = host.submit("good", "bad")
    host.wait(good, bad, number=1)
    host.wait(good, number=2)
    host.core.apply_all([CancelJob(good), CancelJob(bad)])
    head = msgspec.structs.replace(host.core.find("bad")[1], input=b"\xc1", flow_digest="sha256:none")
    host.core.round.writes.heads[bad] = head
    host.commit()
    failed, told = sorted(host.sent, key=lambda sent: sent.asker.request)
    assert isinstance(failed.answer, Failure)
    assert "job bad can't be read" in failed.answer.message
    assert isinstance(told.answer, Reply)
