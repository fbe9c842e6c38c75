"""structlog without rich, for processes that draw no tracebacks in colours.

structlog takes rich along wherever it is installed, for its development console: half of the time that a
supervisor takes to start, and an eighth of its memory.
"""

from __future__ import annotations

import sys
from importlib import import_module

HIDDEN = "rich"


def import_structlog() -> None:
    """Import structlog, unless it is imported already; rich can be imported as ever afterwards."""
    if HIDDEN in sys.modules:
        return
    sys.modules[HIDDEN] = None  # type: ignore[assignment] # pyright: ignore[reportArgumentType]
    try:
        import_module("structlog")
    finally:
        del sys.modules[HIDDEN]
