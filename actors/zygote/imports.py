"""What may be imported on this host, and the import of a flow (section 8 of the design: allow-list)."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from sojourn.actors.classes import LoadedClasses
from sojourn.actors.flow import Flow
from sojourn.actors.loading import LoadedRoutine, import_module, load_routine
from sojourn.runtime.errors import AccessDenied, CodeNotLoadable, InvalidFlow, InvalidInput, NotFound
from sojourn.runtime.flow import FlowSpec

ALWAYS = "sojourn.actors.demo"
INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of installed packages: not the operator's own code, though they may lie under a path."""

MOST_NAMED = 5
"""Flows that the refusal of another name lists."""

_MISSING = object()


class Allowance:
    """Which modules the operator of this host allowed.

    Args:
        paths: import paths whose modules may be run.
        prefixes: packages that may be run wherever they are installed.
    """

    def __init__(self, paths: tuple[str, ...], prefixes: tuple[str, ...]) -> None:
        self._roots = [(Path(os.path.abspath(path)), Path(path).resolve()) for path in paths]
        self._prefixes = (*prefixes, ALWAYS)

    def permits_loaded(self, name: str) -> bool:
        """Tell whether a module that is loaded may be used."""
        if self._by_name(name):
            return True
        file = getattr(sys.modules.get(name), "__file__", None)
        return isinstance(file, str) and self.relative(file) is not None

    def check(self, name: str) -> None:
        """Check a module before it, or any package above it, is imported.

        Raises:
            NotFound: if there is no such module.
            AccessDenied: if it may not be run here.
        """
        if self._by_name(name):
            return
        spec = _find(name)
        if spec is None:
            paths = ", ".join(str(given) for given, _ in self._roots)
            raise NotFound(
                f"no module {name!r} under {paths}: start the supervisor with --path DIR where DIR "
                "holds it"
            )
        if not any(self.relative(place) is not None for place in _places(spec)):
            top = name.partition(".")[0]
            raise AccessDenied(
                f"module {name!r} is outside what this host allows: its operator can start the "
                f"supervisor with --allow {top}, or with --path for a folder"
            )

    def relative(self, file: str) -> Path | None:
        """Give a file's path relative to the import path that holds it; None if none does.

        Links count where they stand as well as where they lead to.
        """
        standing, real = Path(os.path.abspath(file)), Path(file).resolve()
        for given, resolved in self._roots:
            for path, root in ((standing, given), (real, resolved)):
                if path.is_relative_to(root):
                    relative = path.relative_to(root)
                    if INSTALLED.isdisjoint(relative.parts):
                        return relative
        return None

    def _by_name(self, name: str) -> bool:
        return any(name == prefix or name.startswith(f"{prefix}.") for prefix in self._prefixes)


def _find(name: str) -> ModuleSpec | None:
    """Find a module without importing anything, not even its packages.

    Returns:
        Its spec; that of the deepest package found if the rest is missing, which the import will
        say; None if there is not even that.
    """
    top, *rest = name.split(".")
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    for part in rest:
        if found is None or found.submodule_search_locations is None:
            return found
        # By its last name alone: under its whole one, a namespace package looks for its parent among the
        # imported modules. Finders look for files by the last name anyway.
        inner = PathFinder.find_spec(part, list(found.submodule_search_locations))
        if inner is None:
            return found
        found = inner
    return found


def _places(spec: ModuleSpec) -> list[str]:
    """Give the file of a module, or the folders of a namespace package; built-ins have neither."""
    if spec.has_location:
        return [spec.origin] if spec.origin else []
    return list(spec.submodule_search_locations or ())


def find_flow(locator: str, allowance: Allowance) -> FlowSpec:
    """Import ``MODULE:ATTR`` and give the flow's spec.

    Raises:
        InvalidInput: if the locator isn't of that form.
        NotFound: if module or attribute don't exist.
        AccessDenied: if the module may not be run here.
        InvalidFlow: if the attribute is no flow, or one that can't run.
        CodeNotLoadable: if the import fails.
    """
    module_name, _, attribute = locator.partition(":")
    if not module_name or not attribute:
        raise InvalidInput(f"{locator!r} names no flow: give MODULE:ATTR, as in `my_flows:flow`")
    allowance.check(module_name)
    import_module(module_name)
    found: object = sys.modules[module_name]
    for part in attribute.split("."):
        found = getattr(found, part, _MISSING)
        if found is _MISSING:
            raise NotFound(
                f"module {module_name!r} has no attribute {attribute!r}; {_flows_of(module_name)}"
            )
    if not isinstance(found, Flow):
        raise InvalidFlow(
            f"{locator} is of type {type(found).__name__}, not a sojourn.Flow; {_flows_of(module_name)}"
        )
    return found.freeze()


def _flows_of(module_name: str) -> str:
    """Say which flows a module offers, for one who named something else."""
    held = vars(sys.modules[module_name])
    flows = [f"{module_name}:{name}" for name, value in held.items() if isinstance(value, Flow)]
    return f"its flows: {', '.join(flows[:MOST_NAMED])}" if flows else "it holds no flow"


def load_flow(
    flow: FlowSpec, allowance: Allowance, classes: LoadedClasses
) -> dict[str, LoadedRoutine]:
    """Check and load every routine of a flow.

    Raises:
        NotFound: if a module or class doesn't exist.
        AccessDenied: if a module may not be run here, or a class is no Routine.
        CodeNotLoadable: if an import fails.
    """
    for module in flow.modules:
        allowance.check(module)
    for module in flow.exception_modules:
        _load_exceptions(module, allowance)
    return {
        routine.id: load_routine(flow, routine.id, classes) for routine in flow.routines
    }


def _load_exceptions(module: str, allowance: Allowance) -> None:
    """Import a module of which an error handler names a class, if it is the operator's own code.

    Others are left to whoever imports them: what nobody imports raises nothing.

    Raises:
        CodeNotLoadable: if there is no such module here, or its import fails.
    """
    if module in sys.modules:
        return
    try:
        allowance.check(module)
    except AccessDenied:
        return
    except NotFound as error:
        raise CodeNotLoadable(
            f"an error handler of the flow names an exception of module {module!r}, which isn't "
            "installed here and under no --path: put it there"
        ) from error
    import_module(module)
