"""Ids of a host: many at once, unlike each other, of the form that they claim; work beside its rounds."""

from __future__ import annotations

import random
import threading
import uuid

from sojourn.hosts.supervisor.nature import Nature
from sojourn.runtime.engine.inputs import Now
from tests.waiting import wait_until


def test_many_ids_of_one_moment_are_uuids_that_rise() -> None:
    nature = Nature(lambda: Now(1_700_000_000.25, 0.0), random.Random(1))
    made = nature.new_ids(1000)
    assert made == sorted(set(made))
    assert len(made) == 1000
    for text in made:
        read = uuid.UUID(text)
        assert str(read) == text
        assert (read.version, read.variant) == (7, uuid.RFC_4122)
        assert read.int >> 80 == 1_700_000_000_250
    assert {text[19] for text in made} == set("89ab")
    assert nature.new_ids(0) == []


def test_a_later_id_is_greater() -> None:
    wall = iter([1.0, 1.25, 2.0, 2000.0])
    nature = Nature(lambda: Now(next(wall), 0.0), random.Random(1))
    made = [nature.new_id() for _ in range(4)]
    assert made == sorted(made)


def test_a_random_uuid_is_one() -> None:
    made = {Nature().new_uuid() for _ in range(100)}
    assert len(made) == 100
    assert all(uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text for text in made)
    assert all(uuid.UUID(text).variant == uuid.RFC_4122 for text in made)


def test_work_beside_the_rounds_holds_nobody_up_and_is_over_when_it_ends() -> None:
    may_end = threading.Event()
    is_over = Nature().beside(lambda: may_end.wait(60))
    assert not is_over()
    may_end.set()
    wait_until(is_over)
