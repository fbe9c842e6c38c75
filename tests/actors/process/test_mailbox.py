"""What an actor process has to do and to send, in which order, and what is taken back."""

from __future__ import annotations

import os

from sojourn.actors.process.mailbox import Mailbox
from sojourn.runtime.wire.actor import (
    Committed,
    Dispatch,
    Ending,
    Forget,
    LogLine,
    Recall,
    Recalled,
    Result,
    Results,
    ReturnedUnbegun,
    Turn,
)


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


def result(dispatch: int, ending: Ending = Ending.SUCCEEDED) -> Result:
    return Result(dispatch, ending, 1.0, 2.0)


def test_results_gather_in_one_batch() -> None:
    mailbox = with_turns(3)
    claim_turn(mailbox, result(1))
    claim_turn(mailbox, result(2))
    (batch,) = mailbox.outgoing()
    assert isinstance(batch, Results)
    assert [one.dispatch for one in batch.results] == [1, 2]
    assert mailbox.outgoing() == []

    assert mailbox.claim(result(3)) is None
    (batch,) = mailbox.outgoing()
    assert isinstance(batch, Results)
    assert [one.dispatch for one in batch.results] == [3]


def test_a_process_that_shall_end_hands_its_result_in_and_claims_nothing_more() -> None:
    mailbox = with_turns(2)
    mailbox.stop()
    assert mailbox.claim(result(1)) is None
    (batch,) = mailbox.outgoing()
    assert isinstance(batch, Results)
    assert [one.dispatch for one in batch.results] == [1]


def test_who_looks_after_the_line_is_told_of_lines_in_a_turn_that_takes_long() -> None:
    mailbox = with_turns(1)
    for text in ("one", "two"):
        mailbox.add_log(LogLine(1, 1, 1, 1.0, "stdout", text))
    assert os.eventfd_read(mailbox.wake) == 1
    (batch,) = mailbox.outgoing()
    assert isinstance(batch, Results)
    assert [line.text for line in batch.logs] == ["one", "two"]


def test_the_answer_to_a_recall_takes_the_results_before_it_along_at_once() -> None:
    mailbox = with_turns(3)
    claim_turn(mailbox, result(1))
    assert not mailbox.urgent
    mailbox.recall(Recall(1, None))

    assert mailbox.urgent
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


def test_a_checkpoint_is_granted_by_the_word_for_its_own_turn_that_came_after_it() -> None:
    mailbox = with_turns(2)
    mailbox.grant(Committed(1, False))
    mailbox.commit(result(1, Ending.CHECKPOINT))
    assert mailbox.granted(1) is None
    mailbox.grant(Committed(2, False))
    assert mailbox.granted(1) is None
    mailbox.grant(Committed(1, True))
    assert mailbox.granted(1) == Committed(1, True)
    (batch,) = mailbox.outgoing()
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
