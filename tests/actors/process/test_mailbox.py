"""When results leave an actor process: together while turns follow each other, at once when none does."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Generator
from contextlib import contextmanager

from sojourn.actors.process.mailbox import Mailbox
from sojourn.runtime.wire.actor import (
    Committed,
    Dispatch,
    Ending,
    Forget,
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


def claim_turn(mailbox: Mailbox, done: Result | None = None, *, give_back: bool = False) -> Turn:
    """Hand in a result, if any, and take the next turn."""
    entry = mailbox.claim(done, give_back=give_back)
    while not isinstance(entry, Turn):
        assert entry is not None
        entry = mailbox.claim()
    return entry


@contextmanager
def waiting_for_more(mailbox: Mailbox, done: Result, *, give_back: bool = False) -> Generator[None]:
    """Have a thread hand in a result and wait for the next turn, until the end of the block."""
    waiting = threading.Thread(target=mailbox.claim, args=(done,), kwargs={"give_back": give_back})
    before = mailbox.handed_in
    waiting.start()
    try:
        wait_until(lambda: mailbox.handed_in > before, what="a result that is handed in")
        wait_until(lambda: not mailbox.growing(), what="a batch that waits for nothing")
        yield
    finally:
        mailbox.stop()
        waiting.join()


def result(dispatch: int, ending: Ending = Ending.SUCCEEDED) -> Result:
    return Result(dispatch, ending, 1.0, 2.0)


def test_a_result_that_others_are_about_to_follow_may_wait_for_them() -> None:
    mailbox = with_turns(3)
    claim_turn(mailbox, result(1))
    assert mailbox.growing()
    claim_turn(mailbox, result(2))
    assert mailbox.growing()

    (batch,) = mailbox.outgoing()

    assert isinstance(batch, Results)
    assert [one.dispatch for one in batch.results] == [1, 2]
    assert not mailbox.growing()


def test_the_last_result_wakes_the_reader_and_waits_for_nothing() -> None:
    mailbox = with_turns(2)
    claim_turn(mailbox, result(1))
    os.eventfd_read(mailbox.wake)
    with waiting_for_more(mailbox, result(2)):
        wait_until(lambda: is_awake(mailbox), what="a reader that is woken")


def test_a_reader_that_has_just_taken_results_looks_for_the_next_by_itself() -> None:
    mailbox = with_turns(4)
    claim_turn(mailbox, result(1))
    assert os.eventfd_read(mailbox.wake) == 1
    mailbox.outgoing()
    assert mailbox.expected()
    claim_turn(mailbox, result(2))
    assert not is_awake(mailbox)

    mailbox.outgoing()
    assert mailbox.outgoing() == []
    assert not mailbox.expected(), "nothing came in the time that it looked"
    claim_turn(mailbox, result(3))
    assert is_awake(mailbox)


def test_a_reader_that_sent_what_nothing_follows_is_woken_by_the_next_result() -> None:
    mailbox = with_turns(2)
    mailbox.recall(Recall(1, 2))
    assert os.eventfd_read(mailbox.wake) == 1
    mailbox.outgoing()
    assert not mailbox.expected()
    claim_turn(mailbox, result(1))
    assert is_awake(mailbox)


def is_awake(mailbox: Mailbox) -> bool:
    """Whether the reader was told that there is something."""
    return bool(select.select([mailbox.wake], [], [], 0)[0])


def test_the_answer_to_a_recall_takes_the_results_before_it_along_at_once() -> None:
    mailbox = with_turns(3)
    claim_turn(mailbox, result(1))
    mailbox.recall(Recall(1, None))

    assert not mailbox.growing()
    before, answer = mailbox.outgoing()
    assert isinstance(before, Results)
    assert answer == Recalled(1, [3], 2)


def test_what_is_handed_in_after_the_answer_to_a_recall_follows_it() -> None:
    mailbox = with_turns(3)
    claim_turn(mailbox, result(1))
    mailbox.recall(Recall(1, 2))
    claim_turn(mailbox, result(2))

    before, answer, after = mailbox.outgoing()
    assert isinstance(before, Results)
    assert isinstance(answer, Recalled)
    assert isinstance(after, Results)
    assert [one.dispatch for one in after.results] == [2]


def test_jobs_that_are_forgotten_lose_their_turns_and_no_others_do() -> None:
    mailbox = Mailbox()
    mailbox.deliver(Dispatch(0, [], [Turn(n, n % 3, n, "input", 1, b"\x80") for n in range(1, 7)]))
    mailbox.forget(Forget([0, 2]))
    assert [claim_turn(mailbox).dispatch for _ in range(2)] == [1, 4]
    assert mailbox.claim() == Forget([0, 2])


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
    mailbox.deliver(Dispatch(0, [], [other_turn(3)]))
    assert claim_turn(mailbox, result(1, Ending.FAILED), give_back=True).dispatch == 3
    assert mailbox.outgoing()[1:] == [ReturnedUnbegun([2])]

    mailbox.deliver(Dispatch(0, [], turns(4, 5)))
    assert mailbox.outgoing() == [ReturnedUnbegun([4, 5])], "sent before the failure was committed"

    mailbox.deliver(Dispatch(1, [], turns(6)))
    assert claim_turn(mailbox, result(3)).dispatch == 6


def test_another_jobs_turns_are_run_after_a_failure_that_gives_turns_back() -> None:
    mailbox = with_turns(1)
    mailbox.deliver(Dispatch(0, [], [other_turn(2)]))
    claim_turn(mailbox, result(1, Ending.FAILED), give_back=True)
    mailbox.outgoing()
    mailbox.deliver(Dispatch(0, [], [*turns(3), other_turn(4)]))
    assert mailbox.outgoing() == [ReturnedUnbegun([3])]
    assert claim_turn(mailbox, result(2)).dispatch == 4


def other_turn(number: int) -> Turn:
    """A turn of another job."""
    return Turn(number, 2, number, "input", 1, b"\x80")
