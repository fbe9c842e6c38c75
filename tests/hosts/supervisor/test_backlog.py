"""Submits wait where too much of their flow waits: in order, told so, made once there is room."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sojourn.hosts.home import Home
from sojourn.hosts.options import UpOptions
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.hosts.supervisor.backlog import TELL_SECONDS
from sojourn.hosts.supervisor.codebases import CodeBases, LoadAnswer
from sojourn.hosts.supervisor.core import Asker, Core, ToAsker
from sojourn.hosts.supervisor.submissions import Submissions, SubmitTicket
from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.engine.inputs import CancelJob, Hold, Lift, Now
from sojourn.runtime.errors import SojournError
from sojourn.runtime.flow import FlowSpec, RoutineSpec, SlotSpec, encode_flow
from sojourn.runtime.job import JobStatus
from sojourn.runtime.values import encode_fields
from sojourn.runtime.wire.client import Progress, Request, Submit
from sojourn.runtime.wire.zygote import Inspected

NOTHING = encode_fields({"args": [], "kwargs": {}}, where="x")


def flow(name: str) -> bytes:
    step = RoutineSpec("step", "m:Step", NOTHING, (SlotSpec("input", open=True),), ())
    return encode_flow(FlowSpec(name, "step", (step,)))


class Desk:
    """Keeps what is answered."""

    def __init__(self) -> None:
        self.replies: dict[int, list[str]] = {}
        self.failures: dict[int, SojournError] = {}

    def reply(self, asker: Asker, body: dict[str, Any]) -> None:
        self.replies[asker.request] = body["job_ids"]

    def fail(self, asker: Asker, error: SojournError) -> None:
        self.failures[asker.request] = error

    def relay(self, host: str, asker: Asker, request: Request) -> None:
        raise AssertionError(f"{request} of {asker} isn't for {host}")

    def arriving(self, job_id: str) -> bool:
        return job_id == "arriving"


class Bench:
    """A host that takes three waiting jobs, or 1,000 bytes of input, of every flow; no process runs."""

    def __init__(self, folder: Path) -> None:
        home = Home(folder / "a")
        home.create()
        self.store = SqliteStore.open(home.store, clock=lambda: 0.0)
        bounds = Bounds(jobs=3, inputs=1_000)
        self.core = Core(UpOptions(str(home.root), "a"), home, self.store, bounds=bounds)
        self.core.now = Now(100.0, 100.0)
        self.desk = Desk()
        machine: Any = None  # nothing here asks for code
        self.submissions = Submissions(self.core, CodeBases(self.core, machine), self.desk)
        self.asked = 0

    def submit(self, name: str = "flow", ids: tuple[str | None, ...] = (None,), size: int = 0) -> Asker:
        """Submit as if the code of the flow had just been looked at."""
        self.asked += 1
        asker = Asker(b"client", "", 0, self.asked)
        data = encode_fields({"data": bytes(size)}, where="x")
        command = Submit(None, flow(name), [data] * len(ids), list(ids))
        answer = LoadAnswer(None, Inspected(1, flow(name), "code", [], True, {}), None)
        self.submissions.loaded(SubmitTicket(asker, command), answer)
        self.commit()
        return asker

    def commit(self) -> None:
        self.store.commit(self.core.fresh_round().writes)
        self.submissions.after_commit()
        self.store.commit(self.core.fresh_round().writes)

    def jobs(self) -> list[str]:
        return [head.job_id for _, head in reversed(self.store.heads())]

    def told(self) -> list[tuple[int, str]]:
        """Give (request, sentence) of what those who wait were told, and forget it."""
        sent, self.core.outbox = self.core.outbox, []
        return [
            (message.asker.request, json.loads(message.answer.body)["waiting"])
            for message in sent if isinstance(message, ToAsker) and isinstance(message.answer, Progress)
        ]

    def end_one(self) -> None:
        """Let the oldest job that waits end."""
        self.core.apply(CancelJob(min(self.core.engine.book.jobs)))
        self.commit()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_a_submit_to_a_full_queue_waits_and_is_made_when_there_is_room(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        bench.submit(ids=(name,))
    assert [*bench.desk.replies] == [1, 2, 3]
    bench.submit(ids=("d",))
    assert bench.jobs() == ["a", "b", "c"]
    assert [*bench.desk.replies] == [1, 2, 3]
    ((request, sentence),) = bench.told()
    assert request == 4
    assert "3 jobs of flow 'flow' wait for their first turn on host 'a'" in sentence
    bench.end_one()
    assert bench.jobs() == ["a", "b", "c", "d"]
    assert bench.desk.replies[4] == ["d"]
    assert bench.desk.failures == {}


def test_those_who_wait_get_their_turn_in_order_and_nobody_passes(bench: Bench) -> None:
    for name in "abcdef":
        bench.submit(ids=(name,))
    bench.end_one()
    assert bench.jobs() == ["a", "b", "c", "d"]
    bench.submit(ids=("g",))
    for _ in range(4):
        bench.end_one()
    assert bench.jobs() == list("abcdefg")
    assert [*bench.desk.replies] == [1, 2, 3, 4, 5, 6, 7]


def test_another_flow_isnt_held_and_neither_is_the_same_job_again(bench: Bench) -> None:
    for name in "abcd":
        bench.submit(ids=(name,))
    bench.submit("other", ids=("x",))
    bench.submit(ids=("a",))
    assert bench.desk.replies[5] == ["x"]
    assert bench.desk.replies[6] == ["a"]
    assert 4 not in bench.desk.replies


def test_inputs_are_counted_in_bytes_too_and_a_large_one_passes_where_nothing_waits(bench: Bench) -> None:
    bench.submit(ids=("large",), size=5_000)
    bench.submit(ids=("small",))
    assert bench.jobs() == ["large"]
    bench.end_one()
    assert bench.jobs() == ["large", "small"]


def test_jobs_that_are_paused_or_began_dont_count(bench: Bench) -> None:
    for name in "abc":
        bench.submit(ids=(name,))
    bench.core.apply(Hold(1))
    bench.commit()
    head = bench.store.head(1)
    assert head is not None
    assert head.status is JobStatus.PAUSED
    bench.submit(ids=("d",))
    assert bench.desk.replies[4] == ["d"]
    bench.core.apply(Lift(1))
    bench.commit()
    bench.submit(ids=("e",))
    bench.end_one()
    assert 5 not in bench.desk.replies, "there are three again"
    bench.end_one()
    assert bench.desk.replies[5] == ["e"]


def test_who_waits_is_told_now_and_then_and_who_went_away_gets_no_job(bench: Bench) -> None:
    for name in "abc":
        bench.submit(ids=(name,))
    patient, gone = bench.submit(ids=("d",)), bench.submit(ids=("e",))
    bench.told()
    bench.commit()
    assert bench.told() == []
    assert bench.submissions.next_deadline() == 100.0 + TELL_SECONDS
    bench.core.now = Now(200.0, 100.0 + TELL_SECONDS)
    bench.commit()
    assert [request for request, _ in bench.told()] == [patient.request, gone.request]
    bench.submissions.gone(gone)
    bench.submissions.gone(gone)
    for _ in range(3):
        bench.end_one()
    assert bench.jobs() == ["a", "b", "c", "d"]
    assert "submit again" in bench.desk.failures[gone.request].message


def test_what_is_refused_meanwhile_is_refused_when_its_turn_comes(bench: Bench) -> None:
    for name in "abcde":
        bench.submit(ids=(name,))
    bench.core.cordoned = True
    bench.end_one()
    assert sorted(bench.desk.failures) == [4, 5]
    assert bench.jobs() == ["a", "b", "c"]


def test_a_queue_is_as_full_after_a_restart(bench: Bench) -> None:
    for name in "abc":
        bench.submit(ids=(name,))
    digest = bench.core.engine.book.jobs[1].plan.digest
    before = bench.core.engine.book.queues.of(digest)
    assert before.jobs == 3
    again = Core(
        bench.core.options, bench.core.home, bench.store,
        bounds=bench.core.engine.book.mailboxes.bounds,
    )
    again.apply_all([again.adoption(row) for row in bench.store.live_jobs()])
    assert again.engine.book.queues.of(digest) == before
    assert again.engine.book.queues.is_full(digest)
