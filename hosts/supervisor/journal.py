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
from sojourn.runtime.job import JobStatus

FILE_BYTES = 16 * 1024 * 1024
FILES_KEPT = 3
LINES_PER_SECOND = 50
"""Changes of status that are logged one by one."""

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


class Statuses:
    """Logs the statuses that change: one by one, or counted and told once a second where they are many.

    A flood of small jobs is a flood of changes, and a line costs as much as several turns.

    Args:
        log: where to.
    """

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self._counted: Counter[tuple[JobStatus, JobStatus]] = Counter()
        """(before, after) → jobs that had no line of their own."""
        self._left = LINES_PER_SECOND
        self._second = 0.0
        """When the second ends of which lines are counted (monotonic)."""

    def tell(self, changes: Sequence[StatusChange], now: float) -> None:
        """Log what a round changed.

        Args:
            changes: they; may be none.
            now: monotonic seconds.
        """
        if now >= self._second:
            self.tell_counted()
            self._left = LINES_PER_SECOND
            self._second = now + 1.0
        for change in changes[: self._left]:
            self._log.info(
                "job status", job=change.job_id, before=change.before.value,
                after=change.after.value, reason=change.reason,
            )
        self._counted.update((change.before, change.after) for change in changes[self._left :])
        self._left = max(0, self._left - len(changes))

    @property
    def due(self) -> float | None:
        """When ``tell`` is to be called at the latest (monotonic); None where nothing waits to be told."""
        return self._second if self._counted else None

    def tell_counted(self) -> None:
        """Log what had no line yet."""
        for (before, after), jobs in self._counted.items():
            self._log.info("job statuses", jobs=jobs, before=before.value, after=after.value)
        self._counted.clear()


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
