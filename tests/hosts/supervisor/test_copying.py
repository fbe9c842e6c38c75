"""A job that changes while it is copied: what arrives equals what the source has at the freeze.

Shipped engine, copying, parts, staging and SQLite stores of two hosts; processes are played by a seed.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.hosts.home import Home
from sojourn.hosts.options import UpOptions
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.hosts.supervisor import staging
from sojourn.hosts.supervisor.copying import Copying
from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.held import PARTIAL, held_blobs
from sojourn.hosts.supervisor.refilling import refill
from sojourn.hosts.supervisor.staging import Staging
from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.engine.inputs import Adopt, Create, Input, Now, Settle, Whence
from sojourn.runtime.engine.model import FlowPlan
from sojourn.runtime.errors import HandoffAborted
from sojourn.runtime.flow import (
    Connection,
    ErrorStrategy,
    EventSpec,
    FlowSpec,
    HandlerSpec,
    RoutineSpec,
    SlotSpec,
    encode_flow,
)
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.handoff.parts import Final, decode_part, problem_of
from sojourn.runtime.handoff.stream import Piece
from sojourn.runtime.job import JobImage, LogRow
from sojourn.runtime.pool import Pool, Worker
from sojourn.runtime.values import BlobReference, digest_of, encode, encode_fields
from sojourn.runtime.wire.actor import Ending, Question, Result, SharedKind, TurnError

NOTHING = encode_fields({"args": [], "kwargs": {}}, where="x")
STEP = RoutineSpec(
    "step", "m:Step", NOTHING, (SlotSpec("input", open=True),), (EventSpec("output"),),
    HandlerSpec(ErrorStrategy.RETRY, max_retries=3, retry_delay=5.0, on_exhausted=ErrorStrategy.SKIP),
)
FLOW = FlowSpec("flow", "step", (STEP,), (Connection("step", "output", "step", "input"),))
PLAN = FlowPlan(flow_digest(FLOW), FLOW)


class CopiedHost:
    """A host without sockets and processes: store, engine, and the rounds between them."""

    def __init__(self, folder: Path, name: str, wall: float, bounds: Bounds | None = None) -> None:
        home = Home(folder / name)
        home.create()
        self.store = SqliteStore.open(home.store, clock=lambda: wall)
        self.core = Core(UpOptions(str(home.root), name), home, self.store, bounds=bounds)
        self.core.now = Now(wall, 50.0 + wall / 7)
        self.core.plan(PLAN.digest, encode_flow(FLOW))
        self.core.round.writes.flows_put[PLAN.digest] = encode_flow(FLOW)
        self.copying: Copying | None = None

    def commit(self, *inputs: Input) -> None:
        self.core.apply(*inputs)
        done = self.core.fresh_round()
        self.store.commit(done.writes)
        if self.copying is not None:
            self.copying.note(done.writes)
        refill(self.core)

    def pass_time(self, seconds: float) -> None:
        now = self.core.now
        self.core.now = Now(now.wall + seconds, now.monotonic + seconds)


class Source(CopiedHost):
    """The host whose job runs while it is copied."""

    def __init__(self, folder: Path, chance: random.Random, bounds: Bounds | None = None) -> None:
        super().__init__(folder, "a", 1_000.0, bounds)
        self.chance = chance
        self.worker = Worker("w", (PLAN.digest, "step"), "code")
        self.core.dispatcher.pools[self.worker.pool] = Pool(self.worker.pool, 1, False)
        self.core.dispatcher.add_worker(self.worker)
        self.commit(Create(1, "job", "instance", PLAN, encode_fields({"x": 1}, where="x"), "s"))
        self.job = self.core.engine.book.jobs[1]
        self.questions = 0

    def work(self) -> None:
        """Let a few turns end somehow, in one round."""
        self.pass_time(self.chance.choice((0.1, 1.0, 6.0)))
        self.core.apply()
        self.worker.window = 4
        results: list[Result] = []
        for assignment in self.core.dispatcher.assign(self.core.now.monotonic):
            results.extend(self.result(turn.dispatch) for turn in assignment.dispatch.turns)
        known = self.core.dispatcher.returned(self.worker, results, self.core.now.monotonic)
        if self.chance.random() < 0.3:
            self.core.add_log(1, "step", 1, 1, self.core.now.wall, "stdout", "a line")
        self.commit(Settle(known, "code"))

    def result(self, dispatch: int) -> Result:
        chance = self.chance
        now = self.core.now.wall
        pending = self.job.pending()
        if chance.random() < 0.3 and pending > self.worker.window:  # the job must not come to its end
            return Result(
                dispatch, Ending.FAILED, now, now, error=TurnError("ValueError", "no"),
                progress=encode_fields({"p": chance.randrange(9)}, where="x"),
            )
        emissions = chance.choice((0, 1, 2, 3)) if pending < 40 else 0
        result = Result(
            dispatch, Ending.SUCCEEDED, now, now,
            [("output", encode_fields({"n": n}, where="x")) for n in range(max(emissions, pending < 3))],
        )
        name = chance.choice("abc")
        result.attributes = {name: None if chance.random() < 0.2 else self.value(result)}
        if chance.random() < 0.4:
            result.shared = [(chance.choice("xyz"), SharedKind.SET, encode(chance.randrange(99)))]
        if chance.random() < 0.2:
            self.questions += 1
            timeout = chance.choice((None, 500.0))
            result.questions = [Question(f"q{self.questions}", "input", "why?", timeout)]
        return result

    def value(self, result: Result) -> bytes:
        """A small value, or a blob as an actor process would write it."""
        if self.chance.random() < 0.7:
            return encode(self.chance.randrange(1000))
        data = self.chance.randbytes(70_000)
        reference = BlobReference(digest_of(data), len(data))
        (self.core.home.blobs / reference.digest).write_bytes(data)
        result.blobs = [(reference.digest, reference.size)]
        return encode(data, blobs=_Kept(reference))


class _Kept:
    def __init__(self, reference: BlobReference) -> None:
        self._reference = reference

    def put(self, data: bytes) -> BlobReference:
        return self._reference


class Target(CopiedHost):
    """The host where it arrives."""

    def __init__(self, folder: Path, bounds: Bounds | None = None) -> None:
        super().__init__(folder, "b", 90_000.0, bounds)
        self.commit()
        self.staging = Staging(self.core, self.core.staging_row())
        self.part = bytearray()
        self.final: Final | None = None
        self.origins: set[int] = set()

    def arrive(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.blob is not None:
                self.staging.keep(piece)
                continue
            self.part += piece.data
            if piece.last:
                part = decode_part(bytes(self.part))
                self.part.clear()
                assert problem_of(part, {"step"}, self.origins) is None
                self.origins.update(part.origins)
                self.staging.put(part)
                self.final = part.final
        self.staging.make_durable()
        self.commit()

    def own(self) -> JobImage:
        assert self.final is not None
        self.staging.require_blobs()
        head = self.final.head
        image, stored = self.staging.image(self.final, encode_flow(FLOW))
        numbers = (head.next_message - 1, head.next_sequence - 1)
        self.commit(Adopt(self.staging.row, image, PLAN, numbers, Whence.STAGED, stored))
        return self.store.read_image(self.staging.row)


def left(due: float | None, now: float) -> float | None:
    """Seconds that are left; one that has passed is as good as none."""
    return max(0.0, round(due - now, 3)) if due else due


def comparable(host: CopiedHost, image: JobImage, row: int) -> dict[str, object]:
    """What must be the same on both sides, with dues as seconds that are left."""
    job = host.core.engine.book.jobs[row]
    now = host.core.now
    tried = {number for actor in job.actors.values() for number in actor.tried}
    in_memory = [message for message in job.messages.values() if message.number in tried or not job.stored]
    return {
        "pending": job.pending(),
        "messages": [
            (m.message, m.routine, m.slot, m.data, m.attempts, m.retry_count, m.progress,
             left(m.due, now.wall))
            for m in image.messages
        ],
        "in memory": sorted(
            (m.number, m.data, m.attempts, m.retry_count, m.progress,
             left(m.due, now.monotonic))
            for m in in_memory
        ),
        "waiting": {name: sorted(actor.waiting) for name, actor in job.actors.items()},
        "ready": {
            name: sorted(number for number in actor.ready if number in tried or not job.stored)
            for name, actor in job.actors.items()
        },
        "history": [(*row[1:9], image.origins[row.origin], *row[10:]) for row in image.history],
        "attributes": [row[1:] for row in image.attributes],
        "attributes in memory": {name: actor.attributes for name, actor in job.actors.items()},
        "shared": [row[1:] for row in image.shared],
        "questions": sorted(
            (q.question, q.message, q.prompt, None if q.due is None else round(q.due - now.wall, 3))
            for q in image.questions
        ),
        "logs": [LogRow(0, *row[1:]) for row in image.logs],
        "counts": image.counts,
        "numbers": (job.next_message, job.next_sequence),
        "head": (image.head.status, image.head.result, image.head.input, image.head.created_at),
    }


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(0, 30), st.integers(0, 12), st.integers(1, 40_000),
    st.sampled_from([None, Bounds(mailbox=4, few=2)]),
)
def test_what_arrives_is_what_the_source_has(
    seed: int, before: int, during: int, room: int, bounds: Bounds | None
) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Source(Path(folder), chance, bounds), Target(Path(folder), bounds)
        for _ in range(before):
            source.work()
        source.copying = Copying(source.core, source.job, [], source.core.now)
        for _ in range(during):
            pieces, ended = source.copying.take(room, final=False)
            assert not ended
            target.arrive(pieces)
            source.work()
        ended = False
        while not ended:
            pieces, ended = source.copying.take(room, final=True)
            target.arrive(pieces)
        target.pass_time(3.0)
        image = target.own()
        for host in (source, target):  # a delay that has passed is over as soon as someone looks
            host.pass_time(0.001)
            host.commit()
        arrived = comparable(target, image, target.staging.row)
        assert arrived == comparable(source, source.store.read_image(1), 1)
        for host in (source, target):
            host.store.close()


def test_what_is_remembered_of_a_stalled_copy_stays_as_small_as_the_job(tmp_path: Path) -> None:
    source = Source(tmp_path, random.Random(1))
    copying = source.copying = Copying(source.core, source.job, [], source.core.now)
    copying.take(1, final=False)
    for _ in range(400):
        source.work()
    assert source.job.next_message > 400
    remembered = copying.left() / 120
    rows = len(source.job.messages) + source.job.next_sequence + 400
    assert remembered < rows + 70_000 * 400 / 120
    pieces, ended = copying.take(10**9, final=True)
    assert ended
    told = sum(len(decode_part(piece.data).messages_gone) for piece in pieces if piece.blob is None)
    assert told <= 50, "messages that came and went meanwhile are never told of"
    source.store.close()


def test_an_interrupted_blob_goes_on_where_it_stopped(tmp_path: Path) -> None:
    target = Target(tmp_path)
    data = random.Random(2).randbytes(1_000_000)
    digest = digest_of(data)
    target.staging.keep(Piece(data[:600_000], digest, False))
    target.staging.discard()
    target.commit()
    again = Staging(target.core, target.core.staging_row())
    held = held_blobs(target.core.home.blobs, [(digest, len(data)), ("0" * 64, 5)])
    assert held == [(digest, 600_000)]
    again.told(held)
    again.keep(Piece(data[600_000:], digest, True))
    again.make_durable()
    assert (target.core.home.blobs / digest).read_bytes() == data
    assert held_blobs(target.core.home.blobs, [(digest, len(data))]) == [(digest, len(data))]
    target.store.close()


def test_a_blob_that_came_whole_but_was_not_checked_yet_is_checked(tmp_path: Path) -> None:
    target = Target(tmp_path)
    data = random.Random(2).randbytes(100_000)
    digest = digest_of(data)
    (target.core.home.blobs / f"{PARTIAL}{digest}").write_bytes(data)
    held = held_blobs(target.core.home.blobs, [(digest, len(data))])
    assert held == [(digest, len(data) - 1)]
    target.staging.told(held)
    target.staging.keep(Piece(data[-1:], digest, True))
    target.staging.make_durable()
    assert (target.core.home.blobs / digest).read_bytes() == data
    target.store.close()


def test_a_blob_that_two_hand_offs_bring_at_once_is_whole(tmp_path: Path) -> None:
    target = Target(tmp_path)
    data = random.Random(3).randbytes(300_000)
    digest = digest_of(data)
    other = Staging(target.core, target.core.staging_row())
    target.staging.keep(Piece(data[:100_000], digest, False))
    assert held_blobs(target.core.home.blobs, [(digest, len(data))]) == [], "it is being written"
    other.keep(Piece(data[:200_000], digest, False))
    target.staging.keep(Piece(data[100_000:], digest, True))
    other.keep(Piece(data[200_000:], digest, True))
    target.staging.make_durable()
    other.make_durable()
    assert (target.core.home.blobs / digest).read_bytes() == data
    assert not list(target.core.home.blobs.glob(f"{PARTIAL}*"))
    target.store.close()


def test_blobs_of_one_round_get_their_names_together_and_none_that_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(tmp_path)
    blobs = target.core.home.blobs
    synced: list[set[str]] = []

    def names(folder: Path) -> set[str]:
        return {path.name for path in folder.iterdir()}

    def sync(folder: Path) -> None:
        synced.append(names(folder))

    monkeypatch.setattr(staging, "sync_folder", sync)
    values = [random.Random(number).randbytes(100_000) for number in range(3)]
    for data in values:
        target.staging.keep(Piece(data, digest_of(data), True))
    assert target.staging.has_whole
    target.staging.make_durable()
    assert synced == [{digest_of(data) for data in values}], "one sync, when all have their names"
    assert not target.staging.has_whole
    last = random.Random(9).randbytes(100_000)
    target.staging.keep(Piece(last, digest_of(last), True))
    target.staging.give_room_back()
    assert names(blobs) == synced[0], "there is no room: what came goes at once"
    target.store.close()


def test_a_blob_with_a_flipped_bit_is_refused_and_not_kept(tmp_path: Path) -> None:
    target = Target(tmp_path)
    data = random.Random(4).randbytes(100_000)
    with pytest.raises(HandoffAborted, match="damaged"):
        target.staging.keep(Piece(b"\x00" + data[1:], digest_of(data), True))
    assert not list(target.core.home.blobs.iterdir())
    target.store.close()


def test_a_blob_that_is_damaged_here_is_not_held_and_is_replaced_by_what_comes(tmp_path: Path) -> None:
    target = Target(tmp_path)
    data = random.Random(6).randbytes(100_000)
    digest = digest_of(data)
    path = target.core.home.blobs / digest
    path.write_bytes(data[:-1] + b"\x00")
    assert held_blobs(target.core.home.blobs, [(digest, len(data))]) == []
    target.staging.keep(Piece(data[:50_000], digest, False))
    target.staging.keep(Piece(data[50_000:], digest, True))
    target.staging.make_durable()
    assert path.read_bytes() == data
    target.store.close()


@pytest.mark.parametrize("there", [0, 300_000])
def test_a_blob_that_is_damaged_at_its_source_is_never_given_away_whole(
    tmp_path: Path, there: int
) -> None:
    source = Source(tmp_path, random.Random(7))
    data = random.Random(7).randbytes(600_000)
    digest = digest_of(data)
    (source.core.home.blobs / digest).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    source.job.shared["large"] = encode(data, blobs=_Kept(BlobReference(digest, len(data))))
    copying = Copying(source.core, source.job, [(digest, there)], source.core.now)
    pieces, _ = copying.take(10**9, final=True)
    target = Target(tmp_path)
    (target.core.home.blobs / f"{PARTIAL}{digest}").write_bytes(data[:there])
    target.staging.told([(digest, there)])
    with pytest.raises(HandoffAborted, match="arrived damaged"):
        target.arrive(pieces)
    assert digest not in {path.name for path in target.core.home.blobs.iterdir()}
    found = copying.damaged([digest])
    assert found is not None
    assert f"blob {digest} of job {source.job.head.job_id} on host 'a' is damaged" in found.message
    (source.core.home.blobs / digest).write_bytes(data)
    assert copying.damaged([digest]) is None, "it was lost on the way"
    for host in (source, target):
        host.store.close()


def test_rows_that_were_staged_are_gone_after_a_discard(tmp_path: Path) -> None:
    source, target = Source(tmp_path, random.Random(5)), Target(tmp_path)
    for _ in range(20):
        source.work()
    copying = Copying(source.core, source.job, [], source.core.now)
    pieces, _ = copying.take(10**9, final=True)
    target.arrive(pieces)
    rows = target.store.staged_rows(target.staging.row, 1000)
    assert rows.messages
    target.staging.put(decode_part(pieces[-1].data))
    target.staging.discard()
    target.commit()
    assert not any(target.store.staged_rows(target.staging.row, 1000))
    assert target.store.history_total(target.staging.row) == 0
    for host in (source, target):
        host.store.close()
