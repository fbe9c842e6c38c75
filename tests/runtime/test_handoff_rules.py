"""The rules of section 7, one by one, on the machines alone."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest

from sojourn.runtime.flow import FlowSpec, encode_flow
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.handoff import effects as fx
from sojourn.runtime.handoff.parts import ROW_BYTES, Final, Part, encode_part
from sojourn.runtime.handoff.routing import (
    Reception,
    facts_about,
    implied_ack,
    may_leave,
    reception,
    recover,
    waits_for_word,
)
from sojourn.runtime.handoff.source import TWO_OWNERS, Patience, SourceHandoff, SourceRecord
from sojourn.runtime.handoff.strays import answer_at_source, answer_at_target
from sojourn.runtime.handoff.stream import cut
from sojourn.runtime.handoff.table import SourceState, TargetState
from sojourn.runtime.handoff.target import (
    LEFT_FREE,
    ROOM_TO_SPARE,
    TargetFacts,
    TargetHandoff,
    TargetRecord,
    needed_bytes,
    vetoes,
)
from sojourn.runtime.job import BlobRow, HandoffRow, JobHead, JobStatus, LogRow, MessageRow, Ownership
from sojourn.runtime.wire.handoff import (
    CHUNK_BYTES,
    WINDOW_BYTES,
    Abort,
    Ack,
    ActorsStarted,
    Chunk,
    Closed,
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
    Superseded,
    Unknown,
    Waiting,
)

FLOW = FlowSpec("flow", "step", ())
ASKED = Preflight("m", "job", "instance", 3, "store-a", encode_flow(FLOW), "", [], 10)
PATIENCE = Patience()


def last_part(**changes: object) -> bytes:
    """The part that ends the copy of the job."""
    head = JobHead(
        "job", "instance", "flow", flow_digest(FLOW), 3, JobStatus.RUNNING, 0.0, b"\x80", handoffs=[]
    )
    for name, value in changes.items():
        setattr(head, name, value)
    return encode_part(Part(final=Final(head, {}, 0.0, 0)))


def message_part(routine: str, due: float) -> bytes:
    """A part with one message."""
    return encode_part(Part(messages=[MessageRow(1, 1, routine, "input", b"", 0, 0, due, None)]))


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
    machine.step(fx.PartsReady(cut(b"rows"), 0), 1.0)
    if state is SourceState.FREEZING:
        return machine
    machine.step(fx.Quiet(1.5, 9), 2.0)
    machine.step(fx.PartsReady(cut(last_part()), 0, final=True), 2.0)
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
    """Send it a part and offer it."""
    staged = machine.step(Chunk("m", 0, data), 0.0)
    if machine.state is not TargetState.STAGING:
        return staged
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
    effects = kinds(machine.step(fx.Cancelled("because"), 5.0))
    # what was offered may be owned over there by force: its record stays, and is asked about after a crash
    assert effects[: -4] == ([] if state is SourceState.FROZEN else ["Erase"])
    assert effects[-4:] == ["Abort", "Thaw", "Failed", "Ended"]
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


def test_a_job_is_copied_while_it_runs_and_frozen_when_little_is_left() -> None:
    machine = source(SourceState.PRECOPY)
    assert kinds(machine.step(PreflightReady("m"), 1.0)) == ["StartCopy", "NeedParts"]
    much = cut(bytes(WINDOW_BYTES))
    sent = machine.step(fx.PartsReady(much, 5_000_000), 1.0)
    assert kinds(sent) == ["Chunk"] * len(much)
    assert machine.state is SourceState.PRECOPY
    assert kinds(machine.step(Credit("m", 1, WINDOW_BYTES), 1.1)) == ["NeedParts"]
    machine.step(fx.PartsReady(cut(b"rest"), 0), 1.1)
    assert machine.step(Credit("m", len(much), WINDOW_BYTES), 1.2) == []
    again = machine.step(Credit("m", len(much) + 1, WINDOW_BYTES), 1.3)
    assert kinds(again) == ["NeedParts"], "all is acknowledged: a new pass sends what changed meanwhile"
    effects = machine.step(fx.PartsReady(cut(b"little"), 0), 1.3)
    assert kinds(effects) == ["Chunk", "StartFreeze"]


def test_a_source_holds_no_more_than_the_credit_that_it_has() -> None:
    machine = source(SourceState.PRECOPY)
    (_, need) = machine.step(PreflightReady("m"), 1.0)
    assert isinstance(need, fx.NeedParts)
    assert need.room == WINDOW_BYTES
    machine.step(fx.PartsReady(cut(bytes(WINDOW_BYTES)), 10**9), 1.0)
    (_, need) = machine.step(Credit("m", 3, WINDOW_BYTES), 1.0)
    assert isinstance(need, fx.NeedParts)
    assert need.room == 3 * CHUNK_BYTES
    assert machine.step(Credit("m", 3, CHUNK_BYTES), 1.0) == [], "the target takes no more now"


def test_what_was_not_acknowledged_is_repeated_and_the_offer_behind_it() -> None:
    machine = source(SourceState.FROZEN)
    again = sends(machine.step(fx.LinkBack(), 2.5))
    assert [message.n for message in again if isinstance(message, Chunk)] == [0, 1]
    assert isinstance(again[-1], Offer)
    assert again[-1].chunks == 2


def test_a_target_hears_that_a_source_waits_for_its_turns() -> None:
    machine = source(SourceState.FREEZING)
    machine.step(Credit("m", 1, WINDOW_BYTES), 1.0)
    for _ in range(30):
        assert machine.wake_at is not None
        assert kinds(machine.step(fx.Tick(), machine.wake_at)) == ["Waiting"]
    other = target()
    before = other.wake_at
    assert kinds(other.step(Waiting("m"), 50.0)) == ["Credit"]
    assert before is not None
    assert other.wake_at is not None
    assert other.wake_at > before


def test_a_pre_copy_that_does_not_converge_leaves_the_job_at_its_source() -> None:
    machine = SourceHandoff(
        ASKED, SourceRecord(1, "a", "", 0, ""), "b", None, PATIENCE, max_downtime=0.005
    )
    machine.step(None, 0.0)
    machine.step(PreflightReady("m"), 0.0)
    now, acked = 0.0, 0
    seen: list[fx.Effect] = []
    while machine.state is SourceState.PRECOPY and now < 100.0:
        pieces = cut(bytes(WINDOW_BYTES - CHUNK_BYTES))
        seen = machine.step(fx.PartsReady(pieces, 0), now)
        now += 0.1
        acked += len(pieces)
        machine.step(Credit("m", acked, WINDOW_BYTES), now)
    assert machine.state is SourceState.OWNED
    (failed,) = [effect for effect in seen if isinstance(effect, fx.Failed)]
    assert failed.kind == "HandoffAborted"
    assert "--max-downtime" in failed.message


def test_two_owners_stop_the_job() -> None:
    machine = source(SourceState.PRECOPY)
    effects = machine.step(HandoffRefused("m", TWO_OWNERS, "two owners: …"), 1.0)
    assert kinds(effects) == ["Erase", "Abort", "Thaw", "Failed", "Ended", "Conflict"]


# --- the target -----------------------------------------------------------------------------------


def test_room_is_kept_while_the_job_runs_for_what_is_to_come_and_for_each_part() -> None:
    rows = 1_000_000
    machine = TargetHandoff(msgspec.structs.replace(ASKED, size=rows), "a", "store-b", PATIENCE)
    machine.begin(TargetFacts("b"), 0.0)
    (first, _) = machine.step(fx.InspectionDone("", ""), 0.0)
    assert first == fx.Reserve(rows + ROOM_TO_SPARE)
    staged = 0
    for number in range(8):  # twice of what was said to come
        data = encode_part(Part(logs=[LogRow(0, number + 1, "step", 1, 1, 1.0, "stdout", "x" * 250_000)]))
        pieces = cut(data)
        done = [
            effect for place, piece in enumerate(pieces)
            for effect in machine.step(
                Chunk("m", number * len(pieces) + place, piece.data, last=piece.last), 0.0
            )
        ]
        takes = len(data) + ROW_BYTES
        staged += takes
        left = max(0, rows - staged) + ROOM_TO_SPARE
        place = next(n for n, effect in enumerate(done) if isinstance(effect, fx.StagePart))
        assert done[place - 2 : place] == [fx.Reserve(left + takes), fx.Reserve(left)]
    assert staged > 1.9 * rows


def test_the_way_of_a_target_that_takes_a_job() -> None:
    machine = TargetHandoff(ASKED, "a", "store-b", PATIENCE)
    assert kinds(machine.begin(TargetFacts("b"), 0.0)) == ["Persist", "Inspect"]
    assert kinds(machine.step(fx.InspectionDone("", ""), 0.0)) == ["Reserve", "PreflightReady"]
    data = last_part()
    assert kinds(machine.step(Chunk("m", 0, data), 0.0)) == ["Reserve", "Reserve", "StagePart", "Credit"]
    digest = sha256(data).hexdigest()
    offer = Offer("m", "job", "instance", 3, 9, digest, "store-a", 1, len(data))
    assert kinds(machine.step(offer, 0.0)) == ["RequireBlobs", "Persist", "Prepared"]
    commit = Commit("m", "job", "instance", 3)
    assert kinds(machine.step(commit, 0.0)) == ["Persist", "OwnJob", "Ack", "Activate"]
    assert sends(machine.step(commit, 0.0)) == [Ack("m", 4, "store-a")]
    assert kinds(machine.step(fx.Activated(1.0), 0.0)) == ["ActorsStarted"]
    measured = Measured("m", {}, 1.0)
    assert kinds(machine.step(measured, 0.0)) == ["RecordFigures", "Erase", "Confirmed", "Ended"]
    assert machine.state is TargetState.OWNED


def owner() -> TargetHandoff:
    """A target that owns the job, and whose source may not know it yet."""
    machine = target()
    fill(machine, last_part())
    machine.step(Commit("m", "job", "instance", 3), 0.0)
    return machine


def test_an_owner_tells_its_source_until_that_knows() -> None:
    machine = owner()
    for _ in range(5):
        assert machine.wake_at is not None
        assert sends(machine.step(fx.Tick(), machine.wake_at)) == [Ack("m", 4, "store-a")]
    assert kinds(machine.step(Closed("m"), 9.0)) == ["Erase", "Confirmed"]
    assert machine.wake_at is None


def test_a_commit_that_reaches_a_target_after_a_restart_is_confirmed_before_the_job_runs() -> None:
    machine = target()
    (persist, *_) = [one for one in fill(machine, last_part()) if isinstance(one, fx.Persist)]
    again = TargetHandoff.recover(persist.row, "store-b", PATIENCE)
    certain = [
        one.certain
        for each in (machine, again)
        for one in each.step(Commit("m", "job", "instance", 3), 0.0)
        if isinstance(one, fx.OwnJob)
    ]
    assert certain == [True, False]
    assert kinds(again.step(Closed("m"), 1.0)) == ["Erase", "Confirmed"]
    assert sends(again.step(fx.Activated(2.5), 1.0)) == [ActorsStarted("m", 2.5)]


def test_an_owner_gives_way_to_a_source_that_took_the_job_back_by_force() -> None:
    machine = owner()
    assert kinds(machine.step(Superseded("m", 5), 9.0)) == ["GiveUpJob", "Erase", "Ended"]
    assert machine.step(Commit("m", "job", "instance", 3), 9.0) == []


def test_force_ends_a_doubt_at_either_side_two_epochs_on() -> None:
    machine = target()
    fill(machine, last_part())
    effects = machine.step(fx.Resolved(), 9.0)
    assert kinds(effects) == ["OwnJob", "Erase", "Activate"]
    assert isinstance(effects[0], fx.OwnJob)
    assert effects[0].epoch == 5
    assert kinds(owner().step(fx.Resolved(), 9.0)) == ["Erase", "Confirmed", "Ended"]
    other = source(SourceState.RELEASED)
    assert kinds(other.step(fx.Resolved(), 9.0)) == ["Persist", "ReclaimJob", "Ended"]
    assert other.step(Ack("m", 4), 9.0) == [], "what comes later is answered from the record"


@pytest.mark.parametrize(
    "state", [state for state in SourceState if state is not SourceState.RELEASED]
)
def test_force_does_nothing_where_nothing_is_in_doubt(state: SourceState) -> None:
    if state is not SourceState.RECLAIMED:
        assert source(state).step(fx.Resolved(), 9.0) == []
    assert target().step(fx.Resolved(), 9.0) == []


def test_a_prepared_target_never_drops_by_itself_and_asks_for_ever() -> None:
    machine = target()
    fill(machine, last_part())
    for _ in range(20):
        assert machine.wake_at is not None
        assert kinds(machine.step(fx.Tick(), machine.wake_at)) == ["Query"]
    assert machine.state is TargetState.PREPARED
    assert kinds(machine.step(Abort("m", "over"), 99.0)) == ["Discard", "Erase", "Ended"]


def test_a_staging_target_asks_when_the_source_is_back_whether_the_hand_off_still_lives() -> None:
    machine = target()
    assert kinds(machine.step(fx.LinkBack(), 1.0)) == ["Query"]
    assert machine.state is TargetState.STAGING
    for state in (SourceState.PRECOPY, SourceState.FREEZING, SourceState.FROZEN):
        assert source(state).step(Query("m", "job", "instance", 3, "store-a"), 1.0) == []
    assert kinds(machine.step(Abort("m", "no such hand-off"), 1.0)) == ["Discard", "Erase", "Ended"]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (TargetFacts("b", "instance", 4), "knows job job at epoch 4"),
        (TargetFacts("b", "instance", 5, owns=True), "owns job job at epoch 5"),
        (TargetFacts("b", "instance", 3, owns=True), "two owners"),
        (TargetFacts("b", cordoned=True), "sojourn uncordon"),
        (TargetFacts("b", "another", 1), "another job under the id"),
        (TargetFacts("b", arriving="m2"), "by another hand-off"),
        (TargetFacts("b", stopping=True), "going down"),
        (TargetFacts("b", free_bytes=5), "no room"),
    ],
)
def test_every_veto_is_cast_before_anything_is_staged(facts: TargetFacts, says: str) -> None:
    (refusal,) = vetoes(ASKED, facts)
    assert says in refusal[1]
    machine = TargetHandoff(ASKED, "a", "store-b", PATIENCE)
    assert kinds(machine.begin(facts, 0.0)) == ["HandoffRefused", "Ended"]


def test_every_veto_is_told_at_once() -> None:
    facts = TargetFacts("b", "instance", 5, owns=True, arriving="m2", stopping=True, free_bytes=5)
    against = vetoes(ASKED, facts)
    assert against[0] == ("Refused", "host 'b' is going down")
    assert [kind for kind, _ in against] == ["Refused", "Refused", "Refused", "HostUnable"]
    (refused, _) = TargetHandoff(ASKED, "a", "store-b", PATIENCE).begin(facts, 0.0)
    assert isinstance(refused, fx.Send)
    assert isinstance(refused.message, HandoffRefused)
    assert refused.message.kind == "HandoffAborted"
    assert refused.message.message == "; ".join(sentence for _, sentence in against)


def test_what_is_there_already_needs_no_room() -> None:
    asked = msgspec.structs.replace(ASKED, size=1200, blobs=[("ab", 1000)])
    assert needed_bytes(asked, held=0) == 1000 + 2 * 200
    assert vetoes(asked, TargetFacts("b", free_bytes=LEFT_FREE + 500)) != []
    assert vetoes(asked, TargetFacts("b", free_bytes=LEFT_FREE + 500, held_bytes=900)) == []


def test_a_job_that_was_given_away_can_come_back() -> None:
    assert vetoes(ASKED, TargetFacts("b", "instance", 2)) == []
    assert vetoes(ASKED, TargetFacts("b", "instance", 3)) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (last_part()[:-3], "no part of a job"),
        (b"\x80", "before it was whole"),
        (b"\xc1", "no part of a job"),
        (last_part(instance="another"), "another job than the offer"),
        (last_part(flow_digest="another"), "another one than its digest"),
        (last_part(next_message=-1), "numbers that no job comes to"),
        (message_part("nowhere", 0.0), "routine 'nowhere'"),
        (message_part("step", float("nan")), "no part of a job"),
        (message_part("step", float("inf")), "no part of a job"),
        (encode_part(Part(blobs=[BlobRow(1, "../../etc/passwd", 1)])), "a blob that can't be one"),
    ],
)
def test_a_hostile_image_is_refused_and_nothing_is_kept(data: bytes, says: str) -> None:
    machine = target()
    effects = fill(machine, data)
    assert kinds(effects) == ["HandoffRefused", "Discard", "Erase", "Ended"]
    (refused,) = sends(effects)
    assert isinstance(refused, HandoffRefused)
    assert says in refused.message


def test_a_damaged_image_is_refused() -> None:
    machine = target()
    machine.step(Chunk("m", 0, last_part()), 0.0)
    effects = machine.step(Offer("m", "job", "instance", 3, 9, "0" * 64, "store-a", 1, 1), 0.0)
    assert "digest" in sends(effects)[0].message  # type: ignore[union-attr] # pyright: ignore[reportAttributeAccessIssue]


def test_a_flow_that_does_not_decode_is_refused_before_anything_is_staged() -> None:
    asked = Preflight("m", "job", "instance", 3, "store-a", b"rubbish", "", [], 10)
    machine = TargetHandoff(asked, "a", "store-b", PATIENCE)
    effects = machine.begin(TargetFacts("b"), 0.0)
    assert kinds(effects) == ["HandoffRefused", "Ended"]


def test_a_blob_that_could_name_another_file_is_refused() -> None:
    effects = target().step(Chunk("m", 0, b"data", blob="../store.db"), 0.0)
    assert kinds(effects) == ["HandoffRefused", "Discard", "Erase", "Ended"]


def test_chunks_out_of_order_are_asked_for_again() -> None:
    machine = target()
    first = Chunk("m", 0, b"fir", last=False)
    assert sends(machine.step(Chunk("m", 1, b"late"), 0.0)) == [Credit("m", 0, WINDOW_BYTES)]
    assert sends(machine.step(first, 0.0)) == [Credit("m", 1, WINDOW_BYTES)]
    assert sends(machine.step(first, 0.0)) == [Credit("m", 1, WINDOW_BYTES)]


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


def known(epoch: int, instance: str = "instance") -> JobHead:
    """What a host knows of a job that isn't its own any more."""
    return JobHead(
        "job", instance, "flow", "digest", epoch, JobStatus.RUNNING, 0.0, b"", Ownership.FORGOTTEN
    )


def test_a_commit_for_an_unknown_hand_off() -> None:
    commit = Commit("m", "job", "instance", 3)
    assert answer_at_target(commit, known(4), "store-b") == Ack("m", 4)
    assert answer_at_target(commit, known(6), "store-b") == Ack("m", 6)
    assert answer_at_target(commit, known(3), "store-b") == Unknown("m", "store-b")
    assert answer_at_target(commit, known(9, "another"), "store-b") == Unknown("m", "store-b")
    assert answer_at_target(commit, None, "store-b") == Unknown("m", "store-b")


def test_an_ack_for_a_hand_off_that_is_over() -> None:
    ack = Ack("m", 4, "store-a")

    def answer(state: str | None, own: str) -> HandoffMessage | None:
        row = None if state is None else HandoffRow("m", "source", state, "job", "instance", 3, "b", b"")
        return answer_at_source(ack, row, own)

    assert answer("gone", "store-a") == Closed("m")
    assert answer("released", "store-a") is None, "its machine acknowledges it"
    assert answer("reclaimed", "store-a") == Superseded("m", 5)
    assert answer(None, "store-a") is None, "the store that offered it would know"
    assert answer(None, "another") == Closed("m"), "a store that was made anew can't take the job back"


def test_a_query_of_a_job_that_was_taken_back_is_answered_with_abort() -> None:
    row = HandoffRow("m", "source", "reclaimed", "job", "instance", 3, "b", b"")
    query = Query("m", "job", "instance", 3, "store-a")
    assert isinstance(answer_at_source(query, row, "store-a"), Abort)


def test_pieces_for_a_target_that_restarted_are_refused() -> None:
    assert isinstance(answer_at_target(Chunk("m", 0, b""), None, "store-b"), HandoffRefused)


# --- around the machines ----------------------------------------------------------------------------


def test_a_third_host_that_names_a_hand_off_changes_nothing() -> None:
    arriving = target()
    for message in (ASKED, Commit("m", "job", "instance", 3), Abort("m", "over"), Chunk("m", 0, b"")):
        assert reception(message, "a", arriving) is Reception.STEP
        assert reception(message, "c", arriving) is Reception.NOTHING
    leaving = source(SourceState.FROZEN)
    assert reception(prepared(leaving), "b", leaving) is Reception.STEP
    assert reception(prepared(leaving), "c", leaving) is Reception.NOTHING


def test_an_offer_under_an_m_that_is_arriving_already_is_refused() -> None:
    facts = facts_about(ASKED, None, [target()], "b")
    assert facts.arriving == "m"
    (refusal,) = vetoes(ASKED, facts)
    assert "by another hand-off" in refusal[1]


@pytest.mark.parametrize(
    ("message", "done"),
    [
        (ASKED, Reception.BEGIN),
        (Commit("m", "job", "instance", 3), Reception.STRAY),
        (Query("m", "job", "instance", 3, "store-a"), Reception.STRAY),
        (Abort("m", "over"), Reception.NOTHING),
        (Ack("m", 4), Reception.STRAY),
        (Closed("m"), Reception.NOTHING),
    ],
)
def test_a_message_of_a_hand_off_that_is_not_here(message: HandoffMessage, done: Reception) -> None:
    assert reception(message, "a", None) is done


def test_only_a_later_epoch_of_the_same_instance_is_an_ack() -> None:
    released = source(SourceState.RELEASED)
    assert implied_ack(released, "instance", 4) == Ack("m", 4)
    assert implied_ack(released, "instance", 3) is None
    assert implied_ack(released, "another", 4) is None


def test_a_job_leaves_once_at_a_time() -> None:
    head = known(3)
    head.ownership = Ownership.OWNED
    assert may_leave(head, [source(SourceState.GONE)])
    assert not may_leave(head, [source(SourceState.PRECOPY)])
    head.status = JobStatus.FAILED
    assert not may_leave(head, [])
    assert not may_leave(known(3), [])


@pytest.mark.parametrize("role", ["source", "target"])
def test_what_goes_on_after_a_restart(role: str) -> None:
    states = {"source": SourceState, "target": TargetState}[role]
    record = SourceRecord(1, "a", "", 0, "") if role == "source" else TargetRecord("store-a")
    encoded = msgspec.msgpack.encode(record)
    going_on = [
        state.value for state in states
        if recover(HandoffRow("m", role, state.value, "job", "instance", 3, "b", encoded), "s", PATIENCE)
    ]
    assert going_on == {"source": ["released"], "target": ["prepared", "owned"]}[role]


def test_a_job_whose_hand_off_was_open_at_a_crash_waits_for_the_other_side() -> None:
    def waiting(head: JobHead | None) -> list[tuple[str, str]]:
        return [
            (role, state.value)
            for role, states in (("source", SourceState), ("target", TargetState))
            for state in states
            if waits_for_word(HandoffRow("m", role, state.value, "job", "instance", 3, "b", b""), head)
        ]

    head = known(3)
    head.ownership = Ownership.OWNED
    assert waiting(head) == [("source", "precopy"), ("target", "owned")]
    for ownership in set(Ownership) - {Ownership.OWNED}:
        head.ownership = ownership
        assert waiting(head) == [], "what another hand-off gave away since waits for nobody"
    assert waiting(None) == []
