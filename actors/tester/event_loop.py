"""Handlers run where no event loop is running, in a notebook too: they may call ``asyncio.run``."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def no_running_loop() -> Generator[None]:
    """Let this thread's event loop be unseen until the block ends; it stands still meanwhile anyway."""
    # Both names are in asyncio's __all__: made for whoever runs loops.
    running = asyncio._get_running_loop()  # noqa: SLF001
    asyncio._set_running_loop(None)  # noqa: SLF001
    try:
        yield
    finally:
        asyncio._set_running_loop(running)  # noqa: SLF001
