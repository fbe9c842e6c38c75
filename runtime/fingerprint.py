"""One digest over the code of a flow, or of a routine."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


def fingerprint(files: Iterable[tuple[str, str]]) -> str:
    """Give one digest over files.

    Args:
        files: (path, sha256 hex) of each, sorted.
    """
    text = "".join(f"{name}\0{digest}\n" for name, digest in files)
    return "sha256:" + sha256(text.encode()).hexdigest()
