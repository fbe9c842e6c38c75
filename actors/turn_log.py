"""The logger behind ``self.log``: structlog, rendered to one line per event."""

from __future__ import annotations

import logging
from collections.abc import Callable

import structlog


class _Lines:
    """The end of structlog's chain: takes rendered lines."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def msg(self, message: str) -> None:
        """Take a line."""
        self._write(message)

    log = debug = info = warn = warning = msg
    error = err = critical = fatal = exception = msg


def line_logger(write: Callable[[str], None]) -> structlog.typing.FilteringBoundLogger:
    """Make a logger that gives every event to ``write`` as one line of text."""
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _Lines(write),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        cache_logger_on_first_use=False,
    )
    return logger
