"""Which classes encoded values and error handlers may name in an actor process.

Only what the flow's own allowed modules define or have imported by now, or builtins: nothing is
imported to decode a value.
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


_ALWAYS = frozenset({"builtins", "sojourn.runtime.errors"})


def _namespace(module: object) -> dict[str, object]:
    """Give what a module holds; anything may stand in the place of one."""
    found: object = getattr(module, "__dict__", None)
    return dict(found) if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownArgumentType]


class LoadedClasses:
    """Resolves class paths among modules that are loaded and allowed, and what these have imported.

    Args:
        allowed: tells whether a module, by name, may be used.
    """

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._allowed = allowed
        self._found: dict[str, type] = {}
        self._modules: frozenset[str] | None = None
        self._seen: frozenset[str] = frozenset()

    def look(self) -> None:
        """Note which modules are loaded, if any came since the last look.

        Before a fork: whoever goes through their names copies every page that holds one of them.
        """
        if len(self._seen) != len(sys.modules):
            self._seen = frozenset(sys.modules)

    def close(self) -> None:
        """Leave out modules that are imported from now on, as a handler may do.

        After a restart, and on another host, nobody will have imported them: a value of their classes
        couldn't be read there.
        """
        self.look()
        self._modules = self._seen

    def resolve(self, path: str) -> type | None:
        """Give the class of ``module:Qualname``, or None."""
        known = self._found.get(path)
        if known is not None:
            return known
        module_name, _, qualname = path.partition(":")
        if self._modules is not None and module_name not in self._modules:
            return None
        found = look_up(module_name, qualname)
        if found is None or f"{found.__module__}:{found.__qualname__}" != path:
            return None
        if not self._may(module_name) and not self._is_imported(module_name, qualname):
            return None
        self._found[path] = found
        return found

    def _may(self, module: str) -> bool:
        return module in _ALWAYS or self._allowed(module)

    def _is_imported(self, module: str, qualname: str) -> bool:
        """Tell whether an allowed module has imported a class of another, or that module itself."""
        outermost = vars(sys.modules[module])[qualname.partition(".")[0]]
        parts = module.split(".")
        holders = [sys.modules.get(".".join(parts[:count])) for count in range(1, len(parts) + 1)]
        wanted = {id(thing) for thing in (outermost, *holders) if thing is not None}
        return any(
            not wanted.isdisjoint(map(id, _namespace(user).values()))
            for name, user in list(sys.modules.items())
            if self._allowed(name)
        )


class AnyLoadedClass(LoadedClasses):
    """Resolves among everything that is loaded: for tests in one process, never in an actor."""

    def __init__(self) -> None:
        super().__init__(lambda _module: True)
