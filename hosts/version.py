"""Which version of Sojourn this is, as it was installed."""

from __future__ import annotations

from functools import cache


@cache
def own_version() -> str:
    """Give it; looked up once, since that takes milliseconds."""
    from sojourn import __version__  # noqa: PLC0415 - looked up when it is asked for

    return __version__
