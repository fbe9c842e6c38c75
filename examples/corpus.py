"""Counts the tokens of Python's own standard library: real input that every machine has.

    sojourn run corpus:flow --input '{"database": "/tmp/corpus.db", "limit": 200}'      # in this folder

A parallel routine tokenizes, one that keeps state counts, and once the job is idle the totals are written
to an SQLite file. Reading fails at its first attempt for every seventh file and is retried. Move the job,
kill its processes or its supervisor: the file holds what ``reference`` computes in one process.
"""

from __future__ import annotations

import io
import sqlite3
import sysconfig
import tokenize
from collections import Counter
from pathlib import Path

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine, event, slot

LIBRARY = Path(sysconfig.get_paths()["stdlib"])
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"}


def source_files(limit: int) -> list[Path]:
    """Give the library's source files, relative to it, in a stable order."""
    found = sorted(
        path.relative_to(LIBRARY)
        for path in LIBRARY.rglob("*.py")
        if not LEFT_OUT & set(path.relative_to(LIBRARY).parts)
    )
    return found[:limit]


def count_tokens(path: Path) -> dict[str, int]:
    """Count a file's tokens by kind."""
    text = (LIBRARY / path).read_bytes()
    kinds = Counter(
        tokenize.tok_name[token.type] for token in tokenize.tokenize(io.BytesIO(text).readline)
    )
    return dict(sorted(kinds.items()))


def reference(limit: int) -> dict[str, int]:
    """Compute in one process what a job must come to."""
    total: Counter[str] = Counter()
    for path in source_files(limit):
        total.update(count_tokens(path))
    return dict(sorted(total.items()))


class Files(Routine):
    """Emits the files, and remembers where the totals go."""

    @event
    def found(self, index: int, path: str) -> None: ...

    def process(self, database: str, limit: int = 200) -> None:
        self.shared["database"] = database
        for index, path in enumerate(source_files(limit)):
            self.found(index=index, path=str(path))


class Tokenize(Routine):
    """Tokenizes one file; every seventh can't be read at first."""

    @event
    def counted(self, path: str, kinds: dict[str, int]) -> None: ...

    @slot
    def file(self, index: int, path: str) -> None:
        if index % 7 == 0 and self.attempt == 1:
            raise OSError(f"{path} can't be read just now")
        self.counted(path=path, kinds=count_tokens(Path(path)))


class Count(Routine):
    """Adds up, and writes the totals once everything is counted."""

    def __init__(self) -> None:
        self.files = 0
        self.kinds: dict[str, int] = {}

    @slot
    def counted(self, path: str, kinds: dict[str, int]) -> None:
        self.files += 1
        for kind, number in kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + number

    @slot
    def all_counted(self, succeeded: int, skipped: int, failed: int) -> None:
        with sqlite3.connect(self.shared["database"]) as database:
            database.execute("CREATE TABLE IF NOT EXISTS totals (kind TEXT PRIMARY KEY, tokens INTEGER)")
            database.executemany("INSERT OR REPLACE INTO totals VALUES (?, ?)", self.kinds.items())
        self.set_result(files=self.files, tokens=sum(self.kinds.values()), messages=succeeded)


retry = ErrorHandler(strategy=ErrorStrategy.RETRY, max_retries=3, retry_delay=0.05)

flow = Flow("corpus", error_handler=retry)
files = flow.add_routine(Files(), "files")
tokens = flow.add_routine(Tokenize(), "tokenize", processes=2, parallel=True)
count = flow.add_routine(Count(), "count")
flow.connect(files.found, tokens.file)
flow.connect(tokens.counted, count.counted)
flow.when_idle("count", "all_counted")
