"""Which classes encoded values and error handlers may name in an actor process.

Only what the flow's own allowed modules have already loaded, or builtins: nothing is imported to
decode a value.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType


def look_up(module: str, qualname: str) -> type | None:
    """Find a class in a loaded module, in plain namespaces only: nothing is imported or run.

    A module's own ``__getattr__`` isn't asked, since it may import.

    Args:
        module: the module's name.
        qualname: the class's qualified name in it.
    """
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        if not isinstance(found, (ModuleType, type)):
            return None
        found = vars(found).get(part)
    return found if isinstance(found, type) else None


class LoadedClasses:
    """Resolves class paths among modules that are loaded and allowed.

    Args:
        allowed: tells whether a module, by name, may be used.
    """

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._allowed = allowed
        self._found: dict[str, type] = {}

    def resolve(self, path: str) -> type | None:
        """Give the class of ``module:Qualname``, or None."""
        known = self._found.get(path)
        if known is not None:
            return known
        module_name, _, qualname = path.partition(":")
        if module_name != "builtins" and not self._may(module_name):
            return None
        found = look_up(module_name, qualname)
        if found is None or f"{found.__module__}:{found.__qualname__}" != path:
            return None
        self._found[path] = found
        return found

    def _may(self, module: str) -> bool:
        return module == "sojourn.runtime.errors" or self._allowed(module)


class AnyLoadedClass(LoadedClasses):
    """Resolves among everything that is loaded: for tests in one process, never in an actor."""

    def __init__(self) -> None:
        super().__init__(lambda _module: True)
