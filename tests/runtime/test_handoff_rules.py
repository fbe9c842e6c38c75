"""The rules of section 7, one by one, on the machines alone."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest

from sojourn.runtime.flow import FlowSpec, encode_flow
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.handoff import effects as fx
from sojourn.runtime.handoff.source import TWO_OWNERS, Patience, SourceHandoff, SourceRecord
from sojourn.runtime.handoff.strays import answer_at_source, answer_at_target
from sojourn.runtime.handoff.table import SourceState, TargetState
from sojourn.runtime.handoff.target import TargetFacts, TargetHandoff, veto
from sojourn.runtime.job import HandoffRow, JobHead, JobImage, JobStatus, MessageRow
from sojourn.runtime.wire.handoff import (
    CHUNK_BYTES,
    WINDOW_BYTES,
    Abort,
    Ack,
    ActorsStarted,
    Chunk,
    Commit,
    Credit,
    HandoffMessage,
    HandoffRefused,
    Measured,
    Offer,
    Preflight,
    PreflightReady,
    Prepared,
    Query,
    Unknown,
)

FLOW = FlowSpec("flow", "step", ())
ASKED = Preflight("m", "job", "instance", 3, "store-a", encode_flow(FLOW), "", [], 10)
PATIENCE = Patience()


def image(**changes: object) -> bytes:
    head = JobHead(
        "job", "instance", "flow", flow_digest(FLOW), 3, JobStatus.RUNNING, 0.0, b"\x80", handoffs=[]
    )
    whole = JobImage(encode_flow(FLOW), head, [], [], [], [], [], [], [], {}, {})
    for name, value in changes.items():
        setattr(whole, name, value)
    return msgspec.msgpack.encode(whole)


def sends(effects: list[fx.Effect]) -> list[HandoffMessage]:
    return [effect.message for effect in effects if isinstance(effect, fx.Send)]


def kinds(effects: list[fx.Effect]) -> list[str]:
    return [
        type(effect.message).__name__ if isinstance(effect, fx.Send) else type(effect).__name__
        for effect in effects
        if not isinstance(effect, fx.PhaseReached)
    ]


def source(state: SourceState = SourceState.OWNED) -> SourceHandoff:
    """A source that has come as far as a state."""
    machine = SourceHandoff(ASKED, SourceRecord(1, "a", "", 0, ""), "b", None, PATIENCE)
    if state is SourceState.OWNED:
        return machine
    machine.step(None, 0.0)
    if state is SourceState.PRECOPY:
        return machine
    machine.step(PreflightReady("m"), 1.0)
    if state is SourceState.FREEZING:
        return machine
    machine.step(fx.Quiet(1.5, 9), 2.0)
    data = image()
    machine.step(fx.ImageReady(data, sha256(data).hexdigest(), []), 2.0)
    if state is SourceState.FROZEN:
        return machine
    machine.step(prepared(machine), 3.0)
    if state is SourceState.RELEASED:
        return machine
    machine.step(Ack("m", 4), 4.0)
    return machine


def prepared(machine: SourceHandoff) -> Prepared:
    return Prepared("m", machine.record.digest, "store-b", "store-a")


def target() -> TargetHandoff:
    """A target in STAGING that is ready for the image."""
    machine = TargetHandoff(ASKED, "a", "store-b", PATIENCE)
    machine.begin(TargetFacts("b"), 0.0)
    machine.step(fx.InspectionDone("", ""), 0.0)
    return machine


def fill(machine: TargetHandoff, data: bytes) -> list[fx.Effect]:
    """Send it an image and offer it."""
    machine.step(Chunk("m", 0, data), 0.0)
    digest = sha256(data).hexdigest()
    return machine.step(Offer("m", "job", "instance", 3, 9, digest, "store-a", 1, len(data)), 0.0)


# --- the source -----------------------------------------------------------------------------------


def test_the_way_of_a_source_that_moves_its_job() -> None:
    machine = source(SourceState.FROZEN)
    effects = machine.step(prepared(machine), 3.0)
    assert kinds(effects) == ["Persist", "ReleaseJob", "Commit"]
    assert machine.record.target_store == "store-b"
    assert kinds(machine.step(Ack("m", 4), 4.0)) == ["Persist", "MarkGone"]
    effects = machine.step(ActorsStarted("m", 1.5), 5.0)
    (measured,) = sends(effects)
    assert isinstance(measured, Measured)
    # from the end of the last attempt (1.5 s), later than the entry into FREEZING (1.0 s), to STARTED
    assert measured.downtime_ms == pytest.approx(3500.0)
    assert machine.state is SourceState.GONE


@pytest.mark.parametrize(
    "state", [SourceState.PRECOPY, SourceState.FREEZING, SourceState.FROZEN]
)
def test_until_the_commit_point_a_source_can_always_go_on_alone(state: SourceState) -> None:
    machine = source(state)
    assert kinds(machine.step(fx.Cancelled("because"), 5.0)) == ["Abort", "Thaw", "Failed", "Ended"]
    assert machine.state is SourceState.OWNED
    late = Prepared("m", machine.record.digest, "store-b", "store-a")
    assert machine.step(late, 6.0) == []
    assert machine.step(Ack("m", 4), 6.0) == []


@pytest.mark.parametrize("state", [SourceState.RELEASED, SourceState.GONE])
def test_past_the_commit_point_nothing_takes_the_job_back(state: SourceState) -> None:
    machine = source(state)
    for happening in (
        fx.Cancelled("because"), HandoffRefused("m", "Refused", "no"), fx.JobEnded("cancelled"),
    ):
        assert machine.step(happening, 5.0) == []
    assert machine.state is state
    assert sends(machine.step(Query("m", "job", "instance", 3, "store-a"), 5.0)) == [
        Commit("m", "job", "instance", 3)
    ]


def test_a_released_source_repeats_commit_until_it_is_acknowledged() -> None:
    machine = source(SourceState.RELEASED)
    now = 3.0
    for _ in range(5):
        assert machine.wake_at is not None
        now = machine.wake_at
        assert Commit("m", "job", "instance", 3) in sends(machine.step(fx.Tick(), now))


def test_silence_after_the_release_is_said_to_be_in_doubt_once() -> None:
    machine = source(SourceState.RELEASED)
    failures = [
        effect
        for now in range(4, 60)
        for effect in machine.step(fx.Tick(), float(now))
        if isinstance(effect, fx.Failed)
    ]
    assert [failure.kind for failure in failures] == ["HandoffInDoubt"]
    assert machine.state is SourceState.RELEASED


def test_a_target_that_does_not_know_the_hand_off_leaves_it_released_and_in_doubt() -> None:
    machine = source(SourceState.RELEASED)
    (failed,) = machine.step(Unknown("m", "another"), 5.0)
    assert isinstance(failed, fx.Failed)
    assert failed.kind == "HandoffInDoubt"
    assert machine.state is SourceState.RELEASED


def test_prepared_with_another_digest_moves_nothing() -> None:
    machine = source(SourceState.FROZEN)
    assert machine.step(Prepared("m", "another", "store-b", "store-a"), 3.0) == []
    assert machine.state is SourceState.FROZEN


def test_a_frozen_source_gives_up_on_a_silent_target() -> None:
    machine = source(SourceState.FROZEN)
    now = 2.0
    seen: list[fx.Effect] = []
    while machine.state is SourceState.FROZEN and now < 100:
        now = machine.wake_at or 100.0
        seen = machine.step(fx.Tick(), now)
    assert kinds(seen) == ["Abort", "Thaw", "Failed", "Ended"]
    assert now <= 2.0 + PATIENCE.offer + PATIENCE.longest


def test_the_image_goes_under_a_fixed_window_and_the_offer_last() -> None:
    machine = source(SourceState.FREEZING)
    machine.step(fx.Quiet(0.0, 9), 2.0)
    data = bytes(WINDOW_BYTES + 3 * CHUNK_BYTES)
    first = sends(machine.step(fx.ImageReady(data, "d", []), 2.0))
    window = WINDOW_BYTES // CHUNK_BYTES
    assert [m.n for m in first if isinstance(m, Chunk)] == list(range(window))
    more = sends(machine.step(Credit("m", 2, 0), 2.0))
    assert [m.n for m in more if isinstance(m, Chunk)] == [window, window + 1]
    rest = sends(machine.step(Credit("m", window, 0), 2.0))
    assert isinstance(rest[-1], Offer)
    assert rest[-1].chunks == window + 3
    again = sends(machine.step(fx.LinkBack(), 2.5))
    assert [m.n for m in again if isinstance(m, Chunk)] == [window, window + 1, window + 2]


def test_two_owners_stop_the_job() -> None:
    machine = source(SourceState.PRECOPY)
    effects = machine.step(HandoffRefused("m", TWO_OWNERS, "two owners: …"), 1.0)
    assert kinds(effects) == ["Abort", "Thaw", "Failed", "Ended", "Conflict"]


# --- the target -----------------------------------------------------------------------------------


def test_the_way_of_a_target_that_takes_a_job() -> None:
    machine = TargetHandoff(ASKED, "a", "store-b", PATIENCE)
    assert kinds(machine.begin(TargetFacts("b"), 0.0)) == ["Persist", "Inspect"]
    assert kinds(machine.step(fx.InspectionDone("", ""), 0.0)) == ["PreflightReady"]
    data = image()
    assert kinds(machine.step(Chunk("m", 0, data), 0.0)) == ["Credit"]
    digest = sha256(data).hexdigest()
    offer = Offer("m", "job", "instance", 3, 9, digest, "store-a", 1, len(data))
    assert kinds(machine.step(offer, 0.0)) == ["Reserve", "Persist", "Prepared"]
    commit = Commit("m", "job", "instance", 3)
    assert kinds(machine.step(commit, 0.0)) == ["Erase", "OwnJob", "Ack", "Activate"]
    assert sends(machine.step(commit, 0.0)) == [Ack("m", 4)]
    assert kinds(machine.step(fx.Activated(1.0), 0.0)) == ["ActorsStarted"]
    assert machine.state is TargetState.OWNED


def test_a_prepared_target_never_drops_by_itself_and_asks_for_ever() -> None:
    machine = target()
    fill(machine, image())
    for _ in range(20):
        assert machine.wake_at is not None
        assert kinds(machine.step(fx.Tick(), machine.wake_at)) == ["Query"]
    assert machine.state is TargetState.PREPARED
    assert kinds(machine.step(Abort("m", "over"), 99.0)) == ["Erase", "Ended"]


def test_a_staging_target_asks_when_the_source_is_back_whether_the_hand_off_still_lives() -> None:
    machine = target()
    assert kinds(machine.step(fx.LinkBack(), 1.0)) == ["Query"]
    assert machine.state is TargetState.STAGING
    for state in (SourceState.PRECOPY, SourceState.FREEZING, SourceState.FROZEN):
        assert source(state).step(Query("m", "job", "instance", 3, "store-a"), 1.0) == []
    assert kinds(machine.step(Abort("m", "no such hand-off"), 1.0)) == ["Erase", "Ended"]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (TargetFacts("b", "instance", 4), "knows job job at epoch 4"),
        (TargetFacts("b", "instance", 5, owns=True), "owns job job at epoch 5"),
        (TargetFacts("b", "instance", 3, owns=True), "two owners"),
        (TargetFacts("b", "another", 1), "another job under the id"),
        (TargetFacts("b", arriving="m2"), "by another hand-off"),
        (TargetFacts("b", stopping=True), "going down"),
        (TargetFacts("b", free_bytes=5), "no room"),
    ],
)
def test_every_veto_is_cast_before_anything_is_staged(facts: TargetFacts, says: str) -> None:
    refusal = veto(ASKED, facts)
    assert refusal is not None
    assert says in refusal[1]
    machine = TargetHandoff(ASKED, "a", "store-b", PATIENCE)
    assert kinds(machine.begin(facts, 0.0)) == ["HandoffRefused", "Ended"]


def test_a_job_that_was_given_away_can_come_back() -> None:
    assert veto(ASKED, TargetFacts("b", "instance", 2)) is None
    assert veto(ASKED, TargetFacts("b", "instance", 3)) is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (image()[:-3], "no job"),
        (image(flow=b"rubbish"), "flow doesn't decode"),
        (image(flow=encode_flow(FlowSpec("other", "step", ()))), "another one than its digest"),
        (image(messages=[MessageRow(1, 1, "nowhere", "input", b"", 0, 0, 0.0, None)]), "routine 'nowhere'"),
        (image(messages=[MessageRow(1, 1, "step", "input", b"", 0, 0, float("nan"), None)]), "no job"),
        (image(messages=[MessageRow(1, 1, "step", "input", b"", 0, 0, float("inf"), None)]), "no job"),
        (b"\x80", "no job"),
    ],
)
def test_a_hostile_image_is_refused_and_nothing_is_kept(data: bytes, says: str) -> None:
    machine = target()
    effects = fill(machine, data)
    assert kinds(effects) == ["HandoffRefused", "Erase", "Ended"]
    (refused,) = sends(effects)
    assert isinstance(refused, HandoffRefused)
    assert says in refused.message


def test_a_damaged_image_is_refused() -> None:
    machine = target()
    machine.step(Chunk("m", 0, image()), 0.0)
    effects = machine.step(Offer("m", "job", "instance", 3, 9, "0" * 64, "store-a", 1, 1), 0.0)
    assert "digest" in sends(effects)[0].message  # type: ignore[union-attr] # pyright: ignore[reportAttributeAccessIssue]


def test_chunks_out_of_order_are_asked_for_again() -> None:
    machine = target()
    assert sends(machine.step(Chunk("m", 1, b"late"), 0.0)) == [Credit("m", 0, WINDOW_BYTES)]
    assert sends(machine.step(Chunk("m", 0, b"first"), 0.0)) == [Credit("m", 1, WINDOW_BYTES)]
    assert sends(machine.step(Chunk("m", 0, b"again"), 0.0)) == [Credit("m", 1, WINDOW_BYTES)]


# --- messages of hand-offs that are dead or unknown -------------------------------------------------


def test_a_query_for_an_unknown_hand_off_is_answered_with_abort_by_the_store_that_offered_it() -> None:
    query = Query("m", "job", "instance", 3, "store-a")
    assert isinstance(answer_at_source(query, None, "store-a"), Abort)
    assert answer_at_source(query, None, "restored-store") is None
    late = Prepared("m", "digest", "store-b", "store-a")
    assert isinstance(answer_at_source(late, None, "store-a"), Abort)
    assert answer_at_source(late, None, "restored-store") is None
    assert isinstance(answer_at_source(PreflightReady("m"), None, "store-a"), Abort)


@pytest.mark.parametrize("state", [SourceState.RELEASED, SourceState.GONE])
def test_a_query_past_the_commit_point_is_answered_with_commit(state: SourceState) -> None:
    row = HandoffRow("m", "source", state.value, "job", "instance", 3, "b", b"")
    query = Query("m", "job", "instance", 3, "store-a")
    assert answer_at_source(query, row, "restored-store") == Commit("m", "job", "instance", 3)


def test_a_commit_for_an_unknown_hand_off() -> None:
    commit = Commit("m", "job", "instance", 3)
    assert answer_at_target(commit, 4, True, "store-b") == Ack("m", 4)
    assert answer_at_target(commit, 6, True, "store-b") == Ack("m", 6)
    assert answer_at_target(commit, 3, True, "store-b") == Unknown("m", "store-b")
    assert answer_at_target(commit, 9, False, "store-b") == Unknown("m", "store-b")


def test_pieces_for_a_target_that_restarted_are_refused() -> None:
    assert isinstance(answer_at_target(Chunk("m", 0, b""), 0, False, "store-b"), HandoffRefused)
