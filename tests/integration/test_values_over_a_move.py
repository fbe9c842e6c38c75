"""Exception classes, dead letters and every kind of value over a move."""

from __future__ import annotations

import pytest

from tests.integration.hosting import Host, attempts
from tests.integration.moving import warm_up


def test_attributes_progress_and_shared_values_come_back_equal_and_of_the_same_type(
    pair: tuple[Host, Host]
) -> None:
    a, b = pair
    warm_up(b, "values:keeping")
    a.submit("values:keeping", "job")
    a.wait("job", "keeper.retry_count >= 1")
    a.migrate("job", b)
    b.wait("job", "keeper.retry_count >= 2 or status == 'failed'")
    b.migrate("job", a)
    final = a.wait("job")
    assert (final["status"], final["result"], final["error"]) == ("completed", {"equal": True}, None)
    assert [host for *_, host in attempts(final, "keeper")] == ["a", "b", "a"]
    assert final["epoch"] == 3


def test_values_in_a_message_come_back_equal_and_of_the_same_type(pair: tuple[Host, Host]) -> None:
    a, b = pair
    warm_up(b, "values:sending")
    a.submit("values:sending", "job")
    a.wait("job", "receiver.retry_count >= 1")
    a.migrate("job", b)
    final = b.wait("job")
    assert (final["status"], final["result"], final["error"]) == ("completed", {"equal": True}, None)
    assert [host for *_, host in attempts(final, "receiver")] == ["a", "b"]


@pytest.mark.parametrize(
    ("raises", "outcomes", "type_"),
    [
        # retryable through its base class, ConnectionError, until the budget of two is spent
        (["passing", "passing", "passing"], ["failed", "failed", "skipped"], "Passing"),
        # not retryable by its own class, which the move brought along
        (["passing", "hopeless"], ["failed", "skipped"], "Hopeless"),
        # not retryable through its base class, Hopeless
        (["passing", "passing", "worse"], ["failed", "failed", "skipped"], "Worse"),
        # neither the one nor the other
        (["passing", "stranger"], ["failed", "skipped"], "LookupError"),
    ],
    ids=["retryable_subclass", "non_retryable", "non_retryable_subclass", "unlisted"],
)
def test_exception_classes_on_exhausted_and_the_failed_event_survive_a_move(
    pair: tuple[Host, Host], raises: list[str], outcomes: list[str], type_: str
) -> None:
    a, b = pair
    warm_up(b, "values:picky", cases={})
    a.submit("values:picky", "job", cases={"moved": raises})
    a.wait("job", "picky.retry_count >= 1")
    a.migrate("job", b)
    final = b.wait("job")
    assert final["status"] == "completed"
    assert [entry[1:] for entry in attempts(final, "picky")] == [
        (number, outcome, "a" if number == 1 else "b")
        for number, outcome in enumerate(outcomes, start=1)
    ]
    assert final["routines"]["picky"]["skipped"] == 1
    (letter,) = final["routines"]["dead"]["state"]["letters"]
    assert letter["value"] == ["input", "moved", type_]
    assert attempts(final, "dead")[0][3] == "b"
