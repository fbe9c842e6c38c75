"""The code fingerprint: which files, with which content, a flow's modules were loaded from."""

from __future__ import annotations

from hashlib import sha256

from sojourn.actors.zygote.imports import Allowance


class Fingerprints:
    """Digests of files, remembered by their modification time.

    Args:
        allowance: says which files count.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._known: dict[str, str] = {}

    def files(self) -> list[tuple[str, str]]:
        """Give (relative path, sha256 hex) of every loaded file, sorted, as when it was first seen."""
        for name, path in self._allowance.loaded_files().items():
            if name not in self._known:
                try:
                    self._known[name] = sha256(path.read_bytes()).hexdigest()
                except OSError:
                    self._known[name] = "missing"
        return sorted(self._known.items())


def fingerprint(files: list[tuple[str, str]]) -> str:
    """Give one digest over files."""
    text = "".join(f"{name}\0{digest}\n" for name, digest in files)
    return "sha256:" + sha256(text.encode()).hexdigest()
