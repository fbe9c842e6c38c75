"""What is known before a hand-off, put together: clocks, code, waits, reasons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sojourn.runtime.errors import HandoffAborted, Refused
from sojourn.runtime.handoff.dry_run import (
    ASSUMED_RATE,
    Actor,
    Local,
    downtime,
    middle,
    survey_document,
)
from sojourn.runtime.handoff.source import TWO_OWNERS
from sojourn.runtime.handoff.survey import (
    FILES_NAMED,
    Asked,
    code_drift,
    differing,
    differing_by_routine,
    format_problem,
    joined,
    refusal,
    routine_fingerprint,
    timing,
)
from sojourn.runtime.wire.survey import COPY_FORMAT, Code, Surveyed

SECONDS = st.floats(0.0, 10.0)


ANSWER = Surveyed("m", 1, [], [], Code(), 100, 10, 2.0, 1000.0, 0.5, (1, 1), "0.2")


# --- clocks -------------------------------------------------------------------------------------------


@given(there=SECONDS, spent=SECONDS, back=SECONDS, ahead=st.floats(-1e6, 1e6))
def test_a_clock_difference_is_right_within_half_the_round_trip(
    there: float, spent: float, back: float, ahead: float
) -> None:
    asked = Asked(1000.0, 5.0)
    answered = replace(ANSWER, wall=1000.0 + there + spent + ahead, spent=spent)
    found = timing(asked, answered, 5.0 + there + spent + back)
    assert found.round_trip == pytest.approx(there + back, abs=1e-6)
    assert abs(found.clock_difference - ahead) <= found.round_trip / 2 + 1e-6


def test_an_answer_that_says_it_took_longer_than_it_did_gives_no_negative_way() -> None:
    assert timing(Asked(0.0, 0.0), replace(ANSWER, spent=9.0), 1.0).round_trip == 0.0


def test_an_estimate_grows_with_the_way_the_disks_and_what_changes() -> None:
    assert downtime(0.0, 0.0, 0.0, 1e9) == (0.0, 0.0)
    assert downtime(0.2, 0.0, 0.0, 0.0) == (0.4, 0.0)
    assert downtime(0.0, 0.01, 0.02, 0.0) == pytest.approx((2 * 0.01 + 3 * 0.02, 0.0))
    seconds, delta = downtime(0.1, 0.0, 0.0, ASSUMED_RATE)
    assert (seconds, delta) == pytest.approx((0.2 + 0.1, ASSUMED_RATE / 10))


# --- code ---------------------------------------------------------------------------------------------

HERE = Code("h", [("a.py", "1"), ("b.py", "1"), ("c.py", "1")], {"one": ["a.py", "c.py"], "two": ["b.py"]})


def there(*files: tuple[str, str], **routines: list[str]) -> Code:
    return Code("t", list(files), routines)


def test_files_that_differ_or_are_missing_are_named() -> None:
    other = there(("a.py", "1"), ("b.py", "2"), one=["a.py"], two=["b.py"])
    assert differing(HERE, other) == ["b.py", "c.py"]
    assert differing_by_routine(HERE, other) == {"one": ["c.py"], "two": ["b.py"]}
    assert differing(HERE, HERE) == []
    assert code_drift(HERE, HERE, "b") is None


def test_what_only_the_target_has_counts_where_a_routine_needs_it() -> None:
    files = (*HERE.files, ("for_another_flow.py", "1"), ("pack/__init__.py", "1"))
    other = there(*files, one=["a.py", "pack/__init__.py"], two=["b.py"])
    assert differing(HERE, other) == ["pack/__init__.py"]
    assert differing_by_routine(HERE, other) == {"one": ["pack/__init__.py"], "two": []}


def test_a_source_that_cannot_load_its_own_code_compares_nothing() -> None:
    assert differing(Code(), HERE) == []


def test_a_sentence_names_some_files_and_says_how_many_more() -> None:
    files = [(f"file_{number:02}.py", "1") for number in range(FILES_NAMED + 3)]
    said = code_drift(Code("h", files), Code("t", []), "b")
    assert said is not None
    assert "file_00.py" in said
    assert "and 3 more (`sojourn migrate --dry-run` names all)" in said
    assert "file_10.py" not in said


def test_a_routine_has_a_fingerprint_of_its_own_files_alone() -> None:
    changed = Code("x", [("a.py", "1"), ("b.py", "9"), ("c.py", "1")], HERE.routines)
    assert routine_fingerprint(HERE, "one") == routine_fingerprint(changed, "one")
    assert routine_fingerprint(HERE, "two") != routine_fingerprint(changed, "two")
    assert routine_fingerprint(HERE, "three") is None


def test_another_copy_format_is_told_with_both() -> None:
    assert format_problem(COPY_FORMAT, "b") is None
    said = format_problem(COPY_FORMAT + 7, "b")
    assert said is not None
    assert f"reads jobs in format {COPY_FORMAT}" in said
    assert f"in format {COPY_FORMAT + 7}" in said


# --- waits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actor", "wait"),
    [
        (Actor("r", grace=9.0), 0.0),
        (Actor("r", 1, 1, 0.0, running=2.0, grace=9.0), 9.0),
        (Actor("r", 1, 1, 0.0, running=2.0, typical=5.0, grace=9.0), 3.0),
        (Actor("r", 1, 1, 0.0, running=7.0, typical=5.0, grace=9.0), 9.0),
        (Actor("r", 1, 1, 0.0, running=2.0, typical=50.0, grace=9.0), 9.0),
        (Actor("r", 1, 1, 0.0, 2.0, 50.0, checkpoint_age=0.25, checkpoint_every=1.0, grace=9.0), 0.75),
        (Actor("r", 1, 1, 0.0, 2.0, 50.0, checkpoint_age=0.25, checkpoint_every=1.0, grace=0.0), 0.0),
        (Actor("r", 1, 1, 0.0, 2.0, None, checkpoint_age=0.25, grace=9.0), 9.0),
    ],
)
def test_the_wait_for_an_actor_is_to_its_next_safe_point_and_the_grace_at_most(
    actor: Actor, wait: float
) -> None:
    assert actor.wait == wait


def test_the_middle_of_some_times() -> None:
    assert middle([]) is None
    assert middle([3.0]) == 3.0
    assert middle([9.0, 1.0, 3.0]) == 3.0


# --- reasons ------------------------------------------------------------------------------------------


def test_several_reasons_become_one_sentence() -> None:
    assert joined([("Refused", "one")]) == ("Refused", "one")
    assert joined([("Refused", "one"), ("Refused", "two")]) == ("Refused", "one; two")
    assert joined([("Refused", "one"), ("HostUnable", "two")]) == ("HandoffAborted", "one; two")
    assert joined([("Refused", "one"), (TWO_OWNERS, "two owners")]) == (TWO_OWNERS, "two owners")


def test_a_refused_move_is_4_where_only_states_are_against_it_and_7_else() -> None:
    states = refusal("job", "a", [("Refused", "one"), ("AccessDenied", "two")])
    assert isinstance(states, Refused)
    assert states.message == "job job stays on host 'a' and goes on there: (1) one; (2) two"
    able = refusal("job", "a", [("Refused", "one"), ("CodeNotLoadable", "two")])
    assert isinstance(able, HandoffAborted)
    assert refusal("job", "a", [("HostUnable", "one")]).message.endswith("goes on there: one")


# --- the document -------------------------------------------------------------------------------------


LOCAL = Local(
    job_id="job", host="a", to="b", key="key", connected=True, protocol=(1, 3), protocol_there=(2, 4),
    version="0.1", code=HERE, allow_code_drift=False, rows=50, blobs=[("ab", 100), ("cd", 10), ("ef", 1)],
    fsync=0.001, changing=0.0, actors=[],
)


def test_bytes_that_are_there_are_not_sent_again_nor_the_part_of_a_blob() -> None:
    found = survey_document(LOCAL, [], replace(ANSWER, held=[("ab", 100), ("cd", 4)]), None)
    assert found["bytes"] == {
        "to_send": 50 + 6 + 1, "rows": 50, "blobs": 111, "blobs_there": 104, "held": ["ab"],
        "missing": ["cd", "ef"],
    }


@pytest.mark.parametrize(
    ("theirs", "used"), [((2, 4), 3), ((1, 1), 1), ((4, 5), None), (None, None)]
)
def test_the_version_in_use_is_the_highest_that_both_speak(
    theirs: tuple[int, int] | None, used: int | None
) -> None:
    found = survey_document(replace(LOCAL, protocol_there=theirs), [], None, None)
    assert found["versions"]["protocol"]["used"] == used


def test_without_an_answer_the_rest_is_told_all_the_same() -> None:
    actor = Actor("one", 7, 2, 0.0, 1.0, None, None, None, 3.0)
    found = survey_document(replace(LOCAL, actors=[actor]), [("HandoffAborted", "no")], None, None)
    assert found["would_move"] is False
    assert [found[name] for name in ("disk", "clock", "downtime")] == [None, None, None]
    assert found["reasons"] == [{"type": "HandoffAborted", "message": "no"}]
    assert (found["wait_ms"], found["code"]["compared"]) == (3000.0, False)
    assert found["actors"][0]["since"] == "1970-01-01T00:00:00.000000Z"
