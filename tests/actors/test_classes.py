"""Which classes a value may be of: those of modules that were there when the process began."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from sojourn.actors.classes import LoadedClasses

LATE = "a_module_that_comes_late"


@pytest.fixture
def classes() -> Iterator[LoadedClasses]:
    yield LoadedClasses(lambda _module: True)
    sys.modules.pop(LATE, None)


def import_late() -> None:
    module = ModuleType(LATE)
    module.Late = type("Late", (), {"__module__": LATE})  # type: ignore[attr-defined]
    sys.modules[LATE] = module


def test_a_module_that_came_after_the_look_and_before_the_close_counts(classes: LoadedClasses) -> None:
    classes.look()
    import_late()
    classes.close()

    assert classes.resolve(f"{LATE}:Late") is not None


def test_a_module_that_came_after_the_close_does_not(classes: LoadedClasses) -> None:
    classes.look()
    classes.close()
    import_late()

    assert classes.resolve(f"{LATE}:Late") is None
