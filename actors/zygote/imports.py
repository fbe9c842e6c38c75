"""What may be imported on this host, and the import of a flow (section 8 of the design: allow-list)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from sojourn.actors.classes import LoadedClasses
from sojourn.actors.flow import Flow
from sojourn.actors.loading import LoadedRoutine, import_module, load_routine
from sojourn.runtime.errors import AccessDenied, InvalidFlow, NotFound
from sojourn.runtime.flow import FlowSpec

ALWAYS = "sojourn.actors.demo"


class Allowance:
    """Which modules the operator of this host allowed.

    Args:
        paths: import paths whose modules may be run.
        prefixes: packages that may be run wherever they are installed.
    """

    def __init__(self, paths: tuple[str, ...], prefixes: tuple[str, ...]) -> None:
        self._paths = [Path(path).resolve() for path in paths]
        self._prefixes = (*prefixes, ALWAYS)

    def permits_loaded(self, name: str) -> bool:
        """Tell whether a module that is loaded may be used."""
        if self._by_name(name):
            return True
        file = getattr(sys.modules.get(name), "__file__", None)
        return isinstance(file, str) and self._below(file)

    def check(self, name: str) -> None:
        """Check a module before it is imported.

        Raises:
            NotFound: if there is no such module.
            AccessDenied: if it may not be run here.
        """
        if self._by_name(name):
            return
        top = name.partition(".")[0]
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            paths = ", ".join(str(path) for path in self._paths)
            raise NotFound(
                f"no module {name!r} under {paths}: start the supervisor with --path DIR where DIR "
                "holds it"
            )
        places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
        if not any(self._below(place) for place in places):
            raise AccessDenied(
                f"module {name!r} is outside what this host allows: its operator can start the "
                f"supervisor with --allow {top}, or with --path for a folder"
            )

    def _by_name(self, name: str) -> bool:
        return any(name == prefix or name.startswith(f"{prefix}.") for prefix in self._prefixes)

    def _below(self, place: str) -> bool:
        path = Path(place).resolve()
        return any(path.is_relative_to(root) for root in self._paths)

    def loaded_files(self) -> dict[str, Path]:
        """Give the files under the paths that are loaded: path relative to its root → file."""
        found: dict[str, Path] = {}
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if not isinstance(file, str):
                continue
            path = Path(file).resolve()
            for root in self._paths:
                if path.is_relative_to(root) and "site-packages" not in path.relative_to(root).parts:
                    if not _is_ours(module.__name__):
                        found[str(path.relative_to(root))] = path
                    break
        return found


def _is_ours(name: str) -> bool:
    return (name == "sojourn" or name.startswith("sojourn.")) and not name.startswith(ALWAYS)


def find_flow(locator: str, allowance: Allowance) -> FlowSpec:
    """Import ``MODULE:ATTR`` and give the flow's spec.

    Raises:
        NotFound: if module or attribute don't exist.
        AccessDenied: if the module may not be run here.
        InvalidFlow: if the attribute is no flow, or one that can't run.
        CodeNotLoadable: if the import fails.
    """
    module_name, _, attribute = locator.partition(":")
    allowance.check(module_name)
    import_module(module_name)
    found: object = sys.modules[module_name]
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise NotFound(f"module {module_name!r} has no attribute {attribute!r}")
        found = getattr(found, part)
    if not isinstance(found, Flow):
        raise InvalidFlow(f"{locator} is a {type(found).__name__}, not a sojourn.Flow")
    return found.freeze()


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
    return {
        routine.id: load_routine(flow, routine.id, classes) for routine in flow.routines
    }
