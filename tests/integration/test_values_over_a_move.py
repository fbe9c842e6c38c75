"""Exception classes, dead letters and every kind of value over a move (point 3)."""

from __future__ import annotations

from tests.integration.hosting import Host, attempts


def test_values_come_back_equal_and_of_the_same_type(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("values:keeping", "job")
    a.wait("job", "keeper.retry_count >= 1")
    a.migrate("job", b)
    b.wait("job", "keeper.retry_count >= 2 or status == 'failed'")
    b.migrate("job", a)
    final = a.wait("job")
    assert (final["status"], final["result"], final["error"]) == ("completed", {"equal": True}, None)
    assert [host for *_, host in attempts(final, "keeper")] == ["a", "b", "a"]
    assert final["epoch"] == 3


def test_exception_classes_and_the_failed_event_survive_a_move(pair: tuple[Host, Host]) -> None:
    a, b = pair
    a.submit("values:picky", "job", kinds=["passing", "hopeless", "worse"])
    a.wait("job", "picky.retry_count >= 1 and picky.skipped == 2")
    a.migrate("job", b)
    final = b.wait("job")
    assert final["status"] == "completed"
    assert final["routines"]["picky"]["skipped"] == 3
    letters = final["routines"]["dead"]["state"]["letters"]
    assert [letter["value"] for letter in letters] == [
        ["input", "hopeless", "Hopeless"], ["input", "worse", "Worse"],
        ["input", "passing", "Passing"],
    ]
    outcomes = attempts(final, "picky")
    assert [o[2] for o in outcomes if o[0] == outcomes[0][0]] == ["failed", "failed", "skipped"]
    assert [o[3] for o in outcomes if o[0] == outcomes[0][0]][1:] == ["b", "b"]
