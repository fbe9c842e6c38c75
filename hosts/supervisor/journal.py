"""The supervisor's own log: structlog, JSON lines to a file in the home, readable on a terminal."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from collections import Counter
from collections.abc import Sequence

import structlog

from sojourn.hosts.home import Home
from sojourn.runtime.engine.inputs import StatusChange

FILE_BYTES = 16 * 1024 * 1024
FILES_KEPT = 3
LINES_PER_ROUND = 32
"""Changes of status that one round logs one by one."""

LINES_ON_JOBS = 8
"""Lines about moves of single jobs that one round logs one by one."""


def open_journal(home: Home, host: str, *, quiet: bool) -> None:
    """Send logs to the home's file, and to stderr where that is a terminal.

    Args:
        home: whose file.
        host: bound to every line.
        quiet: whether stderr gets nothing.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(host=host)
    file = _RotatedFile(
        home.log_file, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8"
    )
    file.setFormatter(_formatter(structlog.processors.JSONRenderer()))
    root = logging.getLogger()
    root.handlers = [file]
    root.setLevel(logging.INFO)
    if not quiet and sys.stderr.isatty():
        screen = logging.StreamHandler(sys.stderr)
        screen.setFormatter(_formatter(structlog.dev.ConsoleRenderer()))
        root.addHandler(screen)


def log_changes(log: structlog.stdlib.BoundLogger, changes: Sequence[StatusChange]) -> None:
    """Log the statuses that a round changed: one by one, or counted where they are many.

    A flood of small jobs is a flood of changes, and a line costs as much as several turns.
    """
    if len(changes) > LINES_PER_ROUND:
        kinds = Counter((change.before.value, change.after.value) for change in changes)
        for (before, after), jobs in kinds.items():
            log.info("job statuses", jobs=jobs, before=before, after=after)
        return
    for change in changes:
        log.info(
            "job status", job=change.job_id, before=change.before.value, after=change.after.value,
            reason=change.reason,
        )


class RoundLines:
    """What a round has to tell of single jobs: line by line, or counted where there are many.

    Args:
        log: where it goes.
    """

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self._lines: list[tuple[str, dict[str, object]]] = []

    def add(self, event: str, **fields: object) -> None:
        """Remember a line."""
        self._lines.append((event, fields))

    def flush(self) -> None:
        """Log them."""
        lines, self._lines = self._lines, []
        if len(lines) <= LINES_ON_JOBS:
            for event, fields in lines:
                self._log.info(event, **fields)
            return
        for event, jobs in Counter(event for event, _ in lines).items():
            self._log.info(event, jobs=jobs)


class _RotatedFile(logging.handlers.RotatingFileHandler):
    """Looks at its size only: the original formats every line twice and asks for the file's kind too."""

    _failing = False
    _told = False
    """Whether people know that lines are being lost."""

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the base's
        """Whether the file is full."""
        return self.stream is not None and self.stream.tell() >= self.maxBytes

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; begin to speak again where the file could be written again."""
        self._failing = False
        super().emit(record)
        self._told = self._failing

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - the base's
        """A line is lost, not the work: say so once, instead of a traceback for every line."""
        error = sys.exc_info()[1]
        self._failing = True
        if not self._told:
            print(f"warning: the log {self.baseFilename} can't be written: {error}", file=sys.stderr)


def _formatter(renderer: structlog.typing.Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    )
