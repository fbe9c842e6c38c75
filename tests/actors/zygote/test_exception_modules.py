"""Modules of the exceptions that error handlers name: the operator's own are imported, no others."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from sojourn import CodeNotLoadable, ErrorHandler, ErrorStrategy, Flow
from sojourn.actors.classes import LoadedClasses
from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.zygote.imports import Allowance, load_flow
from tests.actors.steps import Fetch


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """An import path with a module of the operator's and one of a library; forgotten again."""
    own, library = tmp_path / "own", tmp_path / "site-packages"
    for place, name in ((own, "own_errors"), (library, "library_errors")):
        place.mkdir()
        (place / f"{name}.py").write_text("class Oops(Exception): ...\n")
        monkeypatch.syspath_prepend(place)
    before = set(sys.modules)
    yield own
    for name in set(sys.modules) - before:
        del sys.modules[name]


def load(folder: Path, path: str) -> LoadedRoutine:
    """Load a routine whose error handler names a class."""
    flow = Flow("named")
    flow.add_routine(Fetch(), "fetch", error_handler=ErrorHandler(ErrorStrategy.RETRY))
    spec = flow.freeze()
    handler = spec.routines[0].handler
    assert handler is not None
    handler = msgspec.structs.replace(handler, retryable_exceptions=(path,))
    routine = msgspec.structs.replace(spec.routines[0], handler=handler)
    allowance = Allowance((str(folder),), ("tests",))
    changed = msgspec.structs.replace(spec, routines=(routine,))
    return load_flow(changed, allowance, LoadedClasses(allowance.permits_loaded))["fetch"]


def test_a_module_under_the_paths_is_imported(folder: Path) -> None:
    loaded = load(folder, "own_errors:Oops")
    assert loaded.retryable == (vars(sys.modules["own_errors"])["Oops"],)


def test_an_installed_module_is_left_to_whoever_imports_it(folder: Path) -> None:
    loaded = load(folder, "library_errors:Oops")
    assert "library_errors" not in sys.modules
    assert loaded.retryable == ()
    assert loaded.retryable_unloaded == {"library_errors:Oops"}


def test_a_module_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(CodeNotLoadable, match="of module 'no_such_errors', which isn't installed here"):
        load(folder, "no_such_errors:Oops")


def test_a_class_that_its_module_has_not_is_told(folder: Path) -> None:
    with pytest.raises(CodeNotLoadable, match="names own_errors:Missing, which is no exception class"):
        load(folder, "own_errors:Missing")
