"""Which classes encoded values and error handlers may name in an actor process.

Only what the flow's own allowed modules have already loaded, or builtins: nothing is imported to
decode a value.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable


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
        if module_name == "builtins":
            found: object = getattr(builtins, qualname, None)
        elif module_name in sys.modules and self._may(module_name):
            found = sys.modules[module_name]
            for part in qualname.split("."):
                found = getattr(found, part, None)
        else:
            return None
        if not isinstance(found, type) or f"{found.__module__}:{found.__qualname__}" != path:
            return None
        self._found[path] = found
        return found

    def _may(self, module: str) -> bool:
        return module == "sojourn.runtime.errors" or self._allowed(module)


class AnyLoadedClass(LoadedClasses):
    """Resolves among everything that is loaded: for tests in one process, never in an actor."""

    def __init__(self) -> None:
        super().__init__(lambda _module: True)
