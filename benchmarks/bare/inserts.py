"""The bare insert loop: the rows of a submitted job, on disk, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.bare.loop import open_database

_TABLES = """
CREATE TABLE jobs (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, instance TEXT NOT NULL, flow TEXT NOT NULL,
    status INTEGER NOT NULL, created REAL NOT NULL, input BLOB NOT NULL
);
CREATE TABLE messages (
    job INTEGER NOT NULL, message INTEGER NOT NULL, stage INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (job, message)
) WITHOUT ROWID;
"""
_DIGEST = "sha256:" + "0" * 64


class BareInserts:
    """Inserts jobs, each with its id and its first message.

    Args:
        folder: for its database.
    """

    def __init__(self, folder: Path) -> None:
        self._db = open_database(folder / "inserts.db", _TABLES)
        self._next = 1

    def insert(self, count: int, batch: int, data: bytes) -> float:
        """Insert ``count`` jobs, ``batch`` in a transaction; give the seconds."""
        begun = time.perf_counter()
        for start in range(0, count, batch):
            numbers = range(self._next, self._next + min(batch, count - start))
            self._next = numbers.stop
            now = time.time()
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO jobs VALUES (?,?,?,?,?,?,?)",
                [(n, f"{n:032x}", f"{n:032X}", _DIGEST, 0, now, data) for n in numbers],
            )
            self._db.executemany(
                "INSERT INTO messages VALUES (?,?,?,?)", [(n, 1, 0, data) for n in numbers]
            )
            self._db.execute("COMMIT")
        return time.perf_counter() - begun

    def close(self) -> None:
        """Close its database."""
        self._db.close()
