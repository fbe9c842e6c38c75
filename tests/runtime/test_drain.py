"""A drain's decisions: who goes where and when, what is tried again, when it is over, what is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.runtime.handoff.drain import PATIENCE, PAUSE, TRIES, Begin, Drain, Peer, Place, Seen
from sojourn.runtime.moved import Json, Outcome

HERE = Seen("flow", Place.HERE)
BUSY = Seen("flow", Place.BUSY)
B, C = Peer("b", reachable=True), Peer("c", reachable=True)


def gone(host: str) -> Seen:
    return Seen("flow", Place.GONE, host, "", 2, 100)


def answer(job: str, to: str) -> Json:
    return {"job_id": job, "from": "a", "to": to, "epoch": 2, "bytes": 100, "downtime_ms": 1.5}


def outcomes(drain: Drain, now: float = 0.0) -> dict[str, tuple[str, str | None]]:
    return {entry["job_id"]: (entry["outcome"], entry["host"]) for entry in drain.entries(now)}


def reason(drain: Drain, now: float = 0.0) -> str:
    (entry,) = drain.entries(now)
    return str(entry["reason"])


def test_no_more_are_under_way_than_may_be_and_each_end_lets_another_begin() -> None:
    drain = Drain("a", "b", at_once=2)
    drain.see(dict.fromkeys(("one", "two", "three"), HERE), [B], 0.0)
    assert drain.next(0.0) == [Begin("one", "b"), Begin("two", "b")]
    assert drain.next(0.0) == []
    drain.moved(answer("one", "b"))
    assert drain.next(0.0) == [Begin("three", "b")]
    assert drain.news() == {
        "host": "a", "moved": 1, "under_way": ["two", "three"], "in_doubt": [], "waiting": 0, "stays": []
    }
    for job in ("two", "three"):
        assert not drain.over(0.0)
        drain.moved(answer(job, "b"))
    assert drain.over(0.0)
    assert set(outcomes(drain).values()) == {("moved", "b")}


def test_jobs_are_spread_over_the_hosts_that_take_jobs() -> None:
    drain = Drain("a", None)
    away, closed = Peer("d", reachable=False), Peer("e", reachable=True, cordoned=True)
    drain.see({str(number): HERE for number in range(10)}, [B, C, away, closed], 0.0)
    hosts = [begin.host for begin in drain.next(0.0)]
    assert (hosts.count("b"), hosts.count("c")) == (5, 5)


def test_a_host_that_can_not_run_a_flow_is_asked_once_for_all_its_jobs() -> None:
    drain = Drain("a", None, at_once=1)
    drain.see({"one": HERE, "two": HERE, "other": Seen("flow 2", Place.HERE)}, [B, C], 0.0)
    assert drain.next(0.0) == [Begin("one", "b")]
    drain.failed("one", "b", "CodeNotLoadable", "no module 'm'", 0.0)
    drain.see({"one": HERE, "two": HERE, "other": Seen("flow 2", Place.HERE)}, [B, C], 1.0)
    assert drain.next(1.0) == [Begin("one", "c")]
    drain.moved(answer("one", "c"))
    assert drain.next(1.0) == [Begin("two", "c")]
    drain.moved(answer("two", "c"))
    assert drain.next(1.0) == [Begin("other", "b")]


def test_a_job_that_no_host_can_run_stays_with_the_reason() -> None:
    drain = Drain("a", "b")
    drain.see({"one": HERE}, [B], 0.0)
    drain.next(0.0)
    drain.failed("one", "b", "CodeNotLoadable", "no module 'm'", 0.0)
    assert not drain.over(0.0)
    drain.see({"one": HERE}, [B], 1.0)
    assert drain.next(1.0) == []
    assert drain.over(1.0)
    assert (outcomes(drain), reason(drain)) == ({"one": ("stays", "a")}, "no module 'm'")
    assert drain.entries(1.0)[0]["error"] == "CodeNotLoadable"


def test_what_fails_is_tried_again_after_a_pause_that_doubles_until_the_host_is_given_up() -> None:
    drain = Drain("a", "b")
    now = 0.0
    for number in range(TRIES):
        drain.see({"one": HERE}, [B], now)
        assert drain.next(now) == [Begin("one", "b")]
        drain.failed("one", "b", "HandoffAborted", f"failure {number}", now)
        drain.see({"one": HERE}, [B], now)
        assert drain.next(now + PAUSE * 2**number - 0.01) == []
        now += PAUSE * 2**number
    assert drain.next(now) == []
    assert drain.over(now)
    assert reason(drain) == f"failure {TRIES - 1}"


def test_a_host_that_is_away_is_waited_for_and_then_named() -> None:
    drain = Drain("a", "b")
    away = Peer("b", reachable=False)
    drain.see({"one": HERE}, [away], 0.0)
    assert drain.next(0.0) == []
    assert drain.next(PATIENCE - 0.1) == []
    assert not drain.over(PATIENCE - 0.1)
    drain.see({"one": HERE}, [B], PATIENCE - 0.1)
    assert drain.next(PATIENCE - 0.1) == [Begin("one", "b")]
    drain.failed("one", "b", "HandoffAborted", "lost", PATIENCE)
    drain.see({"one": HERE}, [away], PATIENCE)
    drain.next(PATIENCE)
    drain.next(2 * PATIENCE)
    assert drain.over(2 * PATIENCE)
    assert "host 'b' can't be reached" in reason(drain)


@pytest.mark.parametrize(
    ("to", "peers", "why"),
    [
        ("b", [Peer("b", reachable=True, cordoned=True)], "host 'b' is cordoned"),
        (None, [Peer("b", reachable=True, cordoned=True)], "sojourn uncordon"),
        (None, [], "paired with no host"),
    ],
)
def test_where_nobody_may_take_jobs_nothing_is_waited_for(
    to: str | None, peers: list[Peer], why: str
) -> None:
    drain = Drain("a", to)
    drain.see({"one": HERE}, peers, 0.0)
    assert drain.next(0.0) == []
    assert drain.over(0.0)
    assert why in reason(drain)


def test_a_job_whose_ownership_is_not_certain_is_waited_for() -> None:
    drain = Drain("a", "b")
    held = Seen("flow", Place.HELD, why="host 'b' is asked")
    drain.see({"one": held, "two": held}, [B], 0.0)
    assert drain.next(0.0) == []
    assert not drain.over(0.0)
    drain.see({"one": HERE, "two": held}, [B], 1.0)
    assert drain.next(1.0) == [Begin("one", "b")]
    drain.moved(answer("one", "b"))
    drain.next(PATIENCE)
    assert drain.over(PATIENCE)
    assert {entry["job_id"]: entry["reason"] for entry in drain.entries(PATIENCE)} == {
        "one": None, "two": "host 'b' is asked"
    }


def test_a_released_job_is_waited_for_without_end_whoever_released_it() -> None:
    drain = Drain("a", "b")
    given = Seen("flow", Place.GIVEN, "b")
    drain.see({"before": given, "now": HERE}, [B], 0.0)
    drain.next(0.0)
    drain.failed("now", "b", "HandoffInDoubt", "not acknowledged", 10.0)
    drain.see({"before": given, "now": given}, [Peer("b", reachable=False)], 10.0)
    assert drain.next(1e6) == []
    assert not drain.over(1e6)
    assert drain.news()["in_doubt"] == ["before", "now"]
    drain.see({"before": gone("b"), "now": gone("b")}, [B], 1e6)
    assert drain.over(1e6)
    assert outcomes(drain) == {"before": ("moved", "b"), "now": ("moved", "b")}


def test_the_deadline_ends_it_and_names_what_is_in_doubt() -> None:
    drain = Drain("a", "b", deadline=5.0, at_once=2)
    drain.see({"moved": HERE, "released": HERE, "open": HERE, "waits": HERE}, [B], 0.0)
    assert [begin.job_id for begin in drain.next(0.0)] == ["moved", "released"]
    drain.moved(answer("moved", "b"))
    assert [begin.job_id for begin in drain.next(0.0)] == ["open"]
    assert drain.to_abort(4.9) == []
    assert not drain.over(4.9)
    assert drain.to_abort(5.0) == ["released", "open"]
    assert drain.next(5.0) == []
    given_away = Seen("flow", Place.GIVEN, "b")
    drain.see({"moved": gone("b"), "released": given_away, "open": HERE, "waits": HERE}, [B], 5.0)
    assert drain.over(5.0)
    assert outcomes(drain, 5.0) == {
        "moved": ("moved", "b"), "released": ("in doubt", None), "open": ("stays", "a"),
        "waits": ("stays", "a"),
    }
    assert "deadline" in {entry["job_id"]: entry["reason"] for entry in drain.entries(5.0)}["waits"]


def test_what_ends_meanwhile_is_told_and_fails_nothing() -> None:
    drain = Drain("a", "b")
    drain.see({"one": HERE}, [B], 0.0)
    drain.next(0.0)
    drain.failed("one", "b", "HandoffAborted", "the job is completed", 0.0)
    drain.see({"one": Seen("flow", Place.ENDED, "completed")}, [B], 0.0)
    assert drain.over(0.0)
    assert (outcomes(drain), reason(drain)) == ({"one": ("ended", "a")}, "completed")


def test_finished_jobs_and_those_that_left_before_are_none_of_it() -> None:
    drain = Drain("a", "b")
    drain.see({"done": Seen("flow", Place.ENDED, "failed"), "left": gone("b")}, [B], 0.0)
    assert drain.over(0.0)
    assert drain.entries(0.0) == []


def test_a_job_that_comes_back_or_is_retried_is_moved_again() -> None:
    drain = Drain("a", "b")
    drain.see({"one": HERE, "two": HERE}, [B], 0.0)
    drain.next(0.0)
    drain.moved(answer("one", "b"))
    drain.see({"one": HERE, "two": HERE}, [B], 1.0)
    assert drain.next(1.0)[0] == Begin("one", "b")


def test_what_somebody_else_moves_or_cancels_is_waited_for() -> None:
    drain = Drain("a", "b")
    drain.see({"one": BUSY}, [B], 0.0)
    assert drain.next(0.0) == []
    assert not drain.over(PATIENCE * 2)
    drain.see({"one": gone("c")}, [B], 1.0)
    assert drain.over(1.0)
    assert outcomes(drain) == {"one": ("moved", "c")}


def test_a_hand_off_that_vanished_without_a_word_is_begun_anew() -> None:
    drain = Drain("a", "b")
    drain.see({"one": HERE}, [B], 0.0)
    drain.next(0.0)
    drain.see({"one": HERE}, [B], 0.1)
    assert drain.next(0.1) == [], "its failure may be on the way"
    drain.see({"one": HERE}, [B], 2.0)
    assert drain.next(2.0) == [Begin("one", "b")]


def test_asked_for_again_it_tries_anew_and_with_the_new_options() -> None:
    drain = Drain("a", "b")
    drain.see({"one": HERE}, [B, C], 0.0)
    drain.next(0.0)
    drain.failed("one", "b", "AccessDenied", "not allowed", 0.0)
    drain.see({"one": HERE}, [B, C], 0.0)
    drain.next(0.0)
    assert drain.over(0.0)
    drain.go_on("c", 9.0)
    drain.see({"one": HERE}, [B, C], 1.0)
    assert drain.next(1.0) == [Begin("one", "c")]
    assert drain.deadline == 9.0


def test_ended_by_hand_it_begins_nothing_and_waits_for_what_is_under_way() -> None:
    drain = Drain("a", "b", at_once=1)
    drain.see({"one": HERE, "two": HERE}, [B], 0.0)
    drain.next(0.0)
    drain.end()
    assert not drain.over(0.0)
    drain.moved(answer("one", "b"))
    assert drain.next(0.0) == []
    assert drain.over(0.0)
    assert outcomes(drain) == {"one": ("moved", "b"), "two": ("stays", "a")}
    assert "uncordon" in drain.entries(0.0)[1]["reason"]


ENDS = ["moved", "HandoffAborted", "HandoffInDoubt", "CodeNotLoadable"]


@given(
    st.lists(st.sampled_from(ENDS), max_size=12),
    st.integers(1, 4), st.integers(1, 5), st.sampled_from([None, "b"]),
)
def test_every_drain_ends_with_each_job_told_once_and_never_too_many_under_way(
    ends: list[str], at_once: int, count: int, to: str | None
) -> None:
    """The moves end as the search says, then all well; a release is acknowledged at the next look."""
    drain = Drain("a", to, at_once=at_once)
    places = {f"job {number}": HERE for number in range(count)}
    under_way: dict[str, str] = {}
    now = 0.0
    for _ in range(200):
        drain.see(places | dict.fromkeys(under_way, BUSY), [B, C], now)
        for begin in drain.next(now):
            assert begin.job_id not in under_way
            assert to in (None, begin.host)
            under_way[begin.job_id] = begin.host
        assert len(under_way) <= at_once
        if drain.over(now):
            break
        for job, host in list(under_way.items())[:1]:
            del under_way[job]
            end = ends.pop() if ends else "moved"
            if end == "moved":
                drain.moved(answer(job, host))
            else:
                drain.failed(job, host, end, "no", now)
            if end in ("moved", "HandoffInDoubt"):
                places[job] = gone(host)
        now += 0.4
    assert drain.over(now)
    assert not under_way
    entries = drain.entries(now)
    assert [entry["job_id"] for entry in entries] == list(places)
    for entry in entries:
        moved = places[entry["job_id"]].place is Place.GONE
        assert entry["outcome"] == (Outcome.MOVED if moved else Outcome.STAYS)
        assert moved or entry["reason"]


def test_asked_for_again_it_tells_of_what_had_moved_before() -> None:
    drain = Drain("a", "b")
    drain.see({"one": HERE}, [B], 0.0)
    drain.next(0.0)
    drain.moved(answer("one", "b"))
    assert (drain.over(0.0), drain.unsettled()) == (True, [])
    drain.go_on("b", None)
    drain.see({"two": HERE}, [B], 1.0)
    assert drain.next(1.0) == [Begin("two", "b")]
    drain.moved(answer("two", "b"))
    assert drain.over(1.0)
    assert outcomes(drain) == {"one": ("moved", "b"), "two": ("moved", "b")}


def test_a_job_that_went_on_is_said_to_be_where_it_is_now_and_to_have_been_given_where_it_was() -> None:
    drain = Drain("a", None)
    drain.see({"one": HERE}, [B, C], 0.0)
    drain.see({"one": Seen("flow", Place.GONE, "c", epoch=2, to="b")}, [B, C], 0.0)
    (entry,) = drain.entries(0.0)
    assert (entry["to"], entry["epoch"], entry["host"]) == ("b", 2, "c")
