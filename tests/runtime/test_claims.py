"""The rule of epochs: who owns a job that two hosts know of."""

from __future__ import annotations

import pytest

from sojourn.runtime.handoff.claims import (
    Judgement,
    against_resolving,
    claim_of,
    claims_of,
    judge,
    outdone,
    reached,
)
from sojourn.runtime.job import JobHead, JobStatus, Ownership
from sojourn.runtime.wire.claims import Claim


def head(epoch: int, ownership: Ownership = Ownership.OWNED) -> JobHead:
    return JobHead(
        "job", "instance", "flow", "digest", epoch, JobStatus.RUNNING, 0.0, b"\x80", ownership=ownership
    )


def claim(epoch: int, holding: str = "owned", moved_to: str | None = None) -> Claim:
    return Claim("job", "instance", epoch, holding, moved_to)


@pytest.mark.parametrize(
    ("own", "said", "judgement", "owner"),
    [
        (head(1), claim(2), Judgement.GIVE_WAY, "b"),
        (head(1), claim(3), Judgement.GIVE_WAY, "b"),
        (head(2), claim(2), Judgement.CONFLICT, "b"),
        (head(1), claim(2, "gone", "a"), Judgement.OURS, "a"),
        (head(1), claim(2, "forgotten", "a"), Judgement.OURS, "a"),
        (head(3), claim(2), Judgement.TELL, "b"),
        (head(3), claim(2, "released"), Judgement.KEEP, ""),
        (head(3, Ownership.RELEASED), claim(2), Judgement.TELL, "b"),
        (head(2), claim(1, "gone", "a"), Judgement.KEEP, ""),
        (head(1), claim(1, "gone", "c"), Judgement.GIVE_WAY, "c"),
        (head(1), claim(2, "released", "a"), Judgement.GIVE_WAY, "b"),
        (head(1), claim(2, "forgotten", "c"), Judgement.GIVE_WAY, "c"),
        (head(1), claim(2, "forgotten"), Judgement.GIVE_WAY, "b"),
        (head(2), claim(1, "forgotten"), Judgement.KEEP, ""),
        (head(1, Ownership.RELEASED), claim(2), Judgement.GIVE_WAY, "b"),
        (head(1, Ownership.RELEASED), claim(1), Judgement.KEEP, ""),
        (head(1), claim(9, "arriving"), Judgement.KEEP, ""),
        (head(1), Claim("job", "another", 9, "owned"), Judgement.KEEP, ""),
    ],
)
def test_the_later_epoch_has_the_job(
    own: JobHead, said: Claim, judgement: Judgement, owner: str
) -> None:
    judged = judge(own, said, host="a", peer="b")
    assert (judged.judgement, judged.owner) == (judgement, owner)


def test_of_two_hosts_that_compare_at_most_one_keeps_a_job_and_equals_both_stop() -> None:
    for mine in range(1, 5):
        for theirs in range(1, 5):
            one = judge(head(mine), claim_of(head(theirs)), host="a", peer="b").judgement
            other = judge(head(theirs), claim_of(head(mine)), host="b", peer="a").judgement
            told = [one, other].count(Judgement.TELL)
            assert told == [one, other].count(Judgement.GIVE_WAY) == (0 if mine == theirs else 1)
            if mine == theirs:
                assert one is other is Judgement.CONFLICT


def test_what_was_given_away_came_one_epoch_further() -> None:
    assert reached(claim(2)) == 2
    assert reached(claim(2, "released", "c")) == reached(claim(2, "gone", "c")) == 3
    assert reached(claim(2, "forgotten")) == 2


def test_force_is_refused_where_a_host_has_the_job_later() -> None:
    assert against_resolving("instance", 1, [("b", claim(1)), ("c", claim(1, "arriving"))]) is None
    problem = against_resolving("instance", 1, [("b", claim(1)), ("c", claim(2, "gone", "d"))])
    assert problem is not None
    assert "'d'" in problem
    assert against_resolving("another", 1, [("c", claim(5))]) is None


def test_a_host_says_that_a_job_arrives_beside_what_it_knows_of_it() -> None:
    gone = head(1, Ownership.GONE)
    assert claims_of("job", gone, arriving=False) == [claim_of(gone)]
    assert [one.holding for one in claims_of("job", gone, arriving=True)] == ["gone", "arriving"]
    assert [one.holding for one in claims_of("job", None, arriving=True)] == ["arriving"]
    assert claims_of("job", None, arriving=False) == []


@pytest.mark.parametrize(
    ("own", "given_up"),
    [
        (head(2), True),
        (head(3), False),
        (head(4), False),
        (head(2, Ownership.GONE), False),
        (head(2, Ownership.RELEASED), False),
        (None, False),
    ],
)
def test_a_job_is_given_up_to_force_only_where_it_is_still_that_of_the_hand_off(
    own: JobHead | None, given_up: bool
) -> None:
    assert outdone(own, 3) == given_up
