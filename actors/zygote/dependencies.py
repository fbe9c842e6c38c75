"""Which of the loaded files a routine needs: those that its module imports, directly or by others.

Read from the import statements in the sources, wherever they stand. What is imported by name at run time
(``importlib.import_module``) isn't seen: such files belong to the flow, and to no routine. Imports nothing.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from sojourn.actors.zygote.fingerprint import Fingerprints


class Dependencies:
    """The imports among the loaded modules of the operator's own code.

    Args:
        fingerprints: knows their files.
    """

    def __init__(self, fingerprints: Fingerprints) -> None:
        self._fingerprints = fingerprints
        self._imports: dict[str, frozenset[str]] = {}
        """Module → what its import statements name; read once, as its fingerprint is."""

    def files(self, module: str) -> list[str]:
        """Give the files (relative to their roots, sorted) that a module needs, its own included."""
        own = self._fingerprints.modules
        seen: set[str] = set()
        left = [name for name in _with_packages(module) if name in own]
        while left:
            name = left.pop()
            if name in seen:
                continue
            seen.add(name)
            left.extend(found for found in self._imported(name) if found in own)
        return sorted({own[name] for name in seen})

    def _imported(self, module: str) -> frozenset[str]:
        found = self._imports.get(module)
        if found is None:
            found = self._imports[module] = frozenset(_imports_of(module))
        return found


def _imports_of(module: str) -> Iterator[str]:
    """Name every module that another one may import, packages above them included."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    package = getattr(loaded, "__package__", None) or ""
    try:
        tree = ast.parse(Path(str(file)).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # no source, as for an extension module: it imports nothing that is known of
    for node in ast.walk(tree):
        for name in _named(node, package):
            yield from _with_packages(name)


def _named(node: ast.AST, package: str) -> Collection[str]:
    """Name what an import statement may load; of ``from a import b``, b may be a module or not."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return ()
    base = node.module or ""
    if node.level:
        try:
            base = importlib.util.resolve_name("." * node.level + base, package)
        except ImportError:
            return ()  # beyond the top: it would have failed
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]


def _with_packages(name: str) -> list[str]:
    """Give a module and the packages that it is in."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
