"""The code fingerprint: which files, with which content, a flow's modules were loaded from."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

from sojourn.actors.zygote.imports import ALWAYS, Allowance


class Fingerprints:
    """Digests of the files under the import paths that are loaded, each as when it was first seen.

    Args:
        allowance: knows the import paths.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._seen = set[str]()
        self._digests: dict[str, str] = {}
        self.modules: dict[str, str] = {}
        """Loaded module → its file, relative to its root."""

    def files(self) -> list[tuple[str, str]]:
        """Give (path relative to its root, sha256 hex) of every loaded file, sorted."""
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and file not in self._seen:
                self._seen.add(file)
                self._add(name, file)
        return sorted(self._digests.items())

    def _add(self, module: str, file: str) -> None:
        relative = self._allowance.relative(file)
        if relative is None or _is_ours(module):
            return
        try:
            content = Path(file).read_bytes()
        except OSError:
            digest = "missing"
        else:
            digest = sha256(content).hexdigest()
        self._digests[str(relative)] = digest
        self.modules[module] = str(relative)


def _is_ours(module: str) -> bool:
    """Tell whether a module belongs to this package itself, where that lies under a path."""
    if module == ALWAYS or module.startswith(f"{ALWAYS}."):
        return False
    return module.partition(".")[0] in ("sojourn", "__main__")
