"""When results leave an actor process: together while turns follow each other, at once when none does."""

from __future__ import annotations

import os
import select
import threading

from sojourn.actors.process.mailbox import Mailbox
from sojourn.runtime.wire.actor import (
    Committed,
    Dispatch,
    Ending,
    Recall,
    Recalled,
    Result,
    Results,
    ReturnedUnbegun,
    Turn,
)
from tests.waiting import wait_until


def with_turns(turns: int) -> Mailbox:
    """Give a mailbox with turns, of which the first is claimed."""
    mailbox = Mailbox()
    mailbox.deliver(Dispatch(0, [], [Turn(n, 1, n, "input", 1, b"\x80") for n in range(1, turns + 1)]))
    claim_turn(mailbox)
    return mailbox


def claim_turn(mailbox: Mailbox) -> Turn:
    while not isinstance(entry := mailbox.claim(), Turn):
        assert entry is not None
    return entry


def result(dispatch: int, ending: Ending = Ending.SUCCEEDED) -> Result:
    return Result(dispatch, ending, 1.0, 2.0)


def test_a_result_that_others_are_about_to_follow_may_wait_for_them() -> None:
    mailbox = with_turns(3)
    mailbox.finish(result(1), give_back=False)
    assert mailbox.growing()
    claim_turn(mailbox)
    mailbox.finish(result(2), give_back=False)
    assert mailbox.growing()

    (batch,) = mailbox.outgoing()

    assert isinstance(batch, Results)
    assert [one.dispatch for one in batch.results] == [1, 2]
    assert not mailbox.growing()


def test_the_last_result_wakes_the_reader_and_waits_for_nothing() -> None:
    mailbox = with_turns(2)
    mailbox.finish(result(1), give_back=False)
    os.eventfd_read(mailbox.wake)
    claim_turn(mailbox)
    mailbox.finish(result(2), give_back=False)

    assert not mailbox.growing()
    assert os.eventfd_read(mailbox.wake) == 1


def test_the_answer_to_a_recall_takes_the_results_before_it_along_at_once() -> None:
    mailbox = with_turns(3)
    mailbox.finish(result(1), give_back=False)
    claim_turn(mailbox)
    mailbox.recall(Recall(1, None))

    assert not mailbox.growing()
    before, answer = mailbox.outgoing()
    assert isinstance(before, Results)
    assert answer == Recalled(1, [3], 2)


def test_a_checkpoint_leaves_at_once_though_more_turns_wait() -> None:
    mailbox = with_turns(2)
    asked = threading.Thread(target=mailbox.checkpoint, args=(result(1, Ending.CHECKPOINT),))
    asked.start()
    try:
        select.select([mailbox.wake], [], [])
        wait_until(lambda: not mailbox.growing(), what="a batch that waits for nothing")
        (batch,) = mailbox.outgoing()
    finally:
        mailbox.grant(Committed(1, False))
        asked.join()
    assert isinstance(batch, Results)
    assert [one.ending for one in batch.results] == [Ending.CHECKPOINT]


def turns(*numbers: int) -> list[Turn]:
    return [Turn(n, 1, n, "input", 1, b"\x80") for n in numbers]


def test_turns_that_were_on_their_way_when_an_attempt_failed_go_back_like_those_behind_it() -> None:
    mailbox = with_turns(2)
    mailbox.finish(result(1, Ending.FAILED), give_back=True)
    assert mailbox.outgoing()[1:] == [ReturnedUnbegun([2])]

    mailbox.deliver(Dispatch(0, [], turns(3, 4)))
    assert mailbox.outgoing() == [ReturnedUnbegun([3, 4])], "sent before the failure was committed"

    mailbox.deliver(Dispatch(1, [], turns(5)))
    assert claim_turn(mailbox).dispatch == 5
    assert mailbox.outgoing() == []


def test_another_jobs_turns_are_run_after_a_failure_that_gives_turns_back() -> None:
    mailbox = with_turns(1)
    mailbox.finish(result(1, Ending.FAILED), give_back=True)
    mailbox.outgoing()
    mailbox.deliver(Dispatch(0, [], [*turns(2), Turn(3, 2, 1, "input", 1, b"\x80")]))
    assert mailbox.outgoing() == [ReturnedUnbegun([2])]
    assert claim_turn(mailbox).dispatch == 3
