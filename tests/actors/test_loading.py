"""From a flow's spec to a class that runs, and which classes may be named at all."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from sojourn import AccessDenied, CodeNotLoadable, ErrorStrategy, InvalidFlow, NotFound, SojournError
from sojourn.actors.classes import LoadedClasses
from sojourn.actors.loading import LoadedRoutine, import_module, load_routine
from sojourn.actors.turn_errors import describe_error
from sojourn.runtime.flow import FlowSpec, SlotSpec
from sojourn.runtime.values import encode_fields
from tests.actors import loadable

ALLOWED = LoadedClasses(lambda module: module == "tests.actors.loadable")


def changed(**fields: object) -> FlowSpec:
    """Give the flow with its one routine's spec changed."""
    spec = loadable.flow().freeze()
    routine = msgspec.structs.replace(spec.routines[0], **fields)
    return msgspec.structs.replace(spec, routines=(routine,))


def load(spec: FlowSpec, classes: LoadedClasses = ALLOWED) -> LoadedRoutine:
    return load_routine(spec, "step", classes)


def refusal(kind: type[SojournError], spec: FlowSpec, classes: LoadedClasses = ALLOWED) -> str:
    with pytest.raises(kind) as refused:
        load(spec, classes)
    assert type(refused.value) is kind
    return refused.value.message


def test_a_routine_is_loaded_with_its_ports_handler_and_arguments() -> None:
    loaded = load(changed())
    assert loaded.cls is loadable.Step
    assert loaded.slots == {"input": (SlotSpec("input", (), ("n",)), "process")}
    assert loaded.events == {"output": None, "failed": ("slot", "data", "error")}
    assert loaded.handler.strategy is ErrorStrategy.RETRY
    assert loaded.retryable == loadable.IMPORTED
    made = loaded.construct()
    assert isinstance(made, loadable.Step)
    assert made.pair == loadable.Outer.Pair(1, 2)
    assert made.inner is loadable.Outer.Inner.ONE


def test_the_flows_handler_is_in_force_where_the_routine_has_none() -> None:
    loaded = load(changed(handler=None))
    assert loaded.handler.strategy is ErrorStrategy.SKIP
    assert loaded.retryable == (Exception,)


@pytest.mark.parametrize(
    ("cls", "kind", "said"),
    [
        ("tests.actors.loadable:NotARoutine", AccessDenied, "is no Routine"),
        ("tests.actors.loadable:flow", AccessDenied, "is no Routine"),
        ("tests.actors.loadable:Outer.Inner", AccessDenied, "is no Routine"),
        ("tests.actors.loadable:json.JSONDecodeError", AccessDenied, "is no Routine"),
        ("tests.actors.loadable:Missing", NotFound, "has no class 'Missing'"),
        ("tests.actors.loadable:Outer.Missing", NotFound, "has no class 'Outer.Missing'"),
        ("tests.actors.nowhere:Step", NotFound, "no module 'tests.actors.nowhere'"),
        ("no_such_package.deep:Step", NotFound, "no module 'no_such_package.deep'"),
    ],
)
def test_what_is_no_routine_class_is_refused(cls: str, kind: type[SojournError], said: str) -> None:
    assert said in refusal(kind, changed(cls=cls))


def test_a_routine_that_the_flow_does_not_have_is_not_found() -> None:
    with pytest.raises(NotFound, match="flow 'loadable' has no routine 'other'"):
        load_routine(changed(), "other", ALLOWED)


def test_a_slot_that_the_class_lost_is_told() -> None:
    spec = changed(slots=(SlotSpec("input"), SlotSpec("page")))
    assert "has no slot 'page' any more" in refusal(CodeNotLoadable, spec)


def test_arguments_of_classes_outside_the_allowed_modules_are_not_decoded() -> None:
    message = refusal(CodeNotLoadable, changed(), LoadedClasses(lambda _module: False))
    assert "constructor arguments of routine 'step' don't decode" in message
    assert "tests.actors.loadable:Outer.Pair" in message


@pytest.mark.parametrize("arguments", [b"\xc1", b"", encode_fields({"args": 3}, where="x")])
def test_arguments_that_are_none_are_told(arguments: bytes) -> None:
    message = refusal(CodeNotLoadable, changed(arguments=arguments))
    assert "constructor arguments of routine 'step'" in message


@pytest.mark.parametrize(
    "path", ["builtins:print", "builtins:int", "os:path", "os:Missing", "tests.actors.loadable:Step"]
)
def test_a_handlers_exception_that_is_none_is_told(path: str) -> None:
    handler = loadable.flow().freeze().routines[0].handler
    assert handler is not None
    spec = changed(handler=msgspec.structs.replace(handler, retryable_exceptions=(path,)))
    assert f"names {path}, which is no exception" in refusal(CodeNotLoadable, spec)


def test_an_exception_whose_module_is_imported_later_is_matched_then(folder: Path) -> None:
    handler = loadable.flow().freeze().routines[0].handler
    assert handler is not None
    (folder / "later_one.py").write_text("class Late(Exception): ...\nclass Later(Late): ...\n")
    paths = ("later_one:Late",)
    retried = load(changed(handler=msgspec.structs.replace(handler, retryable_exceptions=paths)))
    refused = load(
        changed(
            handler=msgspec.structs.replace(
                handler, retryable_exceptions=("builtins:Exception",), non_retryable_exceptions=paths
            )
        )
    )
    assert "later_one" not in sys.modules
    import_module("later_one")
    later = vars(sys.modules["later_one"])["Later"]("too late")
    assert describe_error(retried, later).retryable
    assert not describe_error(retried, KeyError()).retryable
    assert not describe_error(refused, later).retryable
    assert describe_error(refused, KeyError()).retryable


# --- which classes resolve --------------------------------------------------------------------


def test_classes_resolve_among_allowed_loaded_modules_and_builtins() -> None:
    assert ALLOWED.resolve("tests.actors.loadable:Outer.Pair") is loadable.Outer.Pair
    assert ALLOWED.resolve("builtins:ValueError") is ValueError
    assert ALLOWED.resolve("sojourn.runtime.errors:ActorCrashed") is not None


@pytest.mark.parametrize(
    "path",
    [
        "tests.actors.steps:Point",  # loaded, not allowed
        "tests.actors.loadable:flow",  # no class
        "tests.actors.loadable:ErrorHandler",  # another module's class
        "tests.actors.loadable:Outer.Missing",
        "builtins:print",
        "tests.actors.loadable",
        "",
        ":",
    ],
)
def test_other_names_do_not_resolve(path: str) -> None:
    assert LoadedClasses(lambda module: module == "tests.actors.loadable").resolve(path) is None


def test_classes_that_an_allowed_module_imports_resolve_and_no_others_of_their_module(
    folder: Path,
) -> None:
    (folder / "library_one.py").write_text("class Used: ...\nclass Unused: ...\n")
    (folder / "library_two.py").write_text("class Any: ...\n")
    (folder / "own_one.py").write_text("import library_two\nfrom library_one import Used as Renamed\n")
    import_module("own_one")
    classes = LoadedClasses(lambda module: module == "own_one")
    assert classes.resolve("library_one:Used") is vars(sys.modules["library_one"])["Used"]
    assert classes.resolve("library_two:Any") is vars(sys.modules["library_two"])["Any"]
    assert classes.resolve("library_one:Unused") is None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A folder on the import path; what is imported from it is forgotten again."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_nothing_is_imported_to_resolve_a_name(folder: Path) -> None:
    (folder / "unloaded_one.py").write_text("class Thing: pass\n")
    (folder / "lazy_one.py").write_text(
        "def __getattr__(name):\n    import unloaded_one\n    return unloaded_one.Thing\n"
    )
    import_module("lazy_one")
    everything = LoadedClasses(lambda _module: True)
    assert everything.resolve("unloaded_one:Thing") is None
    assert everything.resolve("lazy_one:Thing") is None
    assert "unloaded_one" not in sys.modules


def test_what_is_imported_after_the_start_is_left_out(folder: Path) -> None:
    (folder / "late_one.py").write_text("class Thing: ...\n")
    classes = LoadedClasses(lambda _module: True)
    classes.close()
    import_module("late_one")
    assert classes.resolve("late_one:Thing") is None
    assert classes.resolve("tests.actors.loadable:Outer.Pair") is loadable.Outer.Pair


# --- imports that fail ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("import no_such_dependency", CodeNotLoadable, "No module named 'no_such_dependency'"),
        ("1 / 0", CodeNotLoadable, "ZeroDivisionError"),
        ("def broken(:", CodeNotLoadable, "SyntaxError"),
        ("raise SystemExit(3)", CodeNotLoadable, "ended with SystemExit"),
        (
            "from sojourn import Routine\nclass A(Routine):\n    async def process(self): ...",
            InvalidFlow, "is async",
        ),
    ],
)
def test_an_import_that_fails_says_why(
    folder: Path, text: str, kind: type[SojournError], said: str
) -> None:
    (folder / "failing_one.py").write_text(text)
    with pytest.raises(kind) as refused:
        import_module("failing_one")
    assert "importing failing_one" in refused.value.message
    assert said in refused.value.message
