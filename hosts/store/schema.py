"""The SQLite file itself: how it is opened, brought to this version's schema, and how it fails.

Knows pragmas and migrations; neither reads nor writes a job.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from importlib import resources
from pathlib import Path

from sojourn.hosts.store.soundness import Look
from sojourn.runtime.errors import JobUnreadable, StoreFailed, StoreTooNew

SCHEMA_VERSION = 1
SETTINGS = {
    "synchronous": "FULL",
    "foreign_keys": "OFF",
    "wal_autocheckpoint": "4000",  # pages: a checkpoint every 16 MB, not every 4
    "cache_size": "-65536",  # KiB
    "cell_size_check": "ON",  # damaged pages are found when they are read, not when they are followed
}
"""Pragmas of every connection, after WAL was set."""

BUSY_TIMEOUT = 5.0
"""Seconds that a lock held by another program (a copy being made) is waited for."""

DAMAGED = (
    "it is damaged: put a copy back in place of it and of {path}-wal (its peers are asked before anything "
    "runs that one of them may own); without a copy, move it away with all files whose names begin with "
    "its own, and the host begins anew"
)
"""What to do about a store that SQLite can't read; ``path`` is the file."""

_HINTS = {
    sqlite3.SQLITE_FULL: "make room on its disk, then start again: what was acknowledged is safe",
    sqlite3.SQLITE_IOERR: "see to its disk, then start again: what was acknowledged is safe",
    sqlite3.SQLITE_READONLY: "give yourself the right to write it, then start again: what was "
    "acknowledged is safe",
    sqlite3.SQLITE_CANTOPEN: "see that its folder exists and that you may write there",
    sqlite3.SQLITE_PERM: "see that its folder exists and that you may write there",
    sqlite3.SQLITE_BUSY: "another program holds it: end that program, then start again",
    sqlite3.SQLITE_LOCKED: "another program holds it: end that program, then start again",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}
"""What to do, by primary result code (the low byte of SQLite's extended one)."""

_DISK_STATES = {
    errno.EROFS: (
        "its file system is read-only now: mount it for writing, then start again: what was acknowledged "
        "is safe"
    ),
    errno.ENOSPC: _HINTS[sqlite3.SQLITE_FULL],
    errno.EDQUOT: _HINTS[sqlite3.SQLITE_FULL],
}
"""What to do, by the error of writing beside the store: SQLite calls all of these an I/O error."""


def connect(path: Path, look: Look) -> sqlite3.Connection:
    """Open the file, durable and at this version's schema.

    Args:
        path: the file.
        look: through it, which is waited for: nothing is written before.

    Raises:
        sqlite3.Error: if SQLite can't.
        StoreTooNew: if a newer version wrote it.
        StoreFailed: if it is damaged, or its file system holds no write-ahead log.
    """
    found = look.result()
    if found is not None:
        raise damaged(path, f"doesn't hold together ({found})")
    db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT)
    try:
        _refuse_newer(db, path)
        _prepare(db, path)
        _migrate(db)
    except BaseException:  # a Ctrl-C too: nobody else holds the connection to close it
        db.close()
        raise
    return db


def failure(path: Path, error: sqlite3.Error) -> StoreFailed:
    """Turn SQLite's error into a sentence for a person."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    hint = _HINTS.get(code, "look at its disk and at this host's log, then start again")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        hint = _DISK_STATES.get(_try_to_write(path.parent), hint)
    said = str(error)
    if code == sqlite3.SQLITE_IOERR:  # there are thirty kinds
        said += f", {getattr(error, 'sqlite_errorname', '')}"
    return StoreFailed(f"the store {path} failed ({said}): {hint.format(path=path)}")


def damaged(path: Path, what: str) -> StoreFailed:
    """Say that what the file holds can't be."""
    return StoreFailed(f"the store {path} {what}: {DAMAGED.format(path=path)}")


def unreadable(path: Path, job: str, what: str) -> JobUnreadable:
    """Say that what the file holds of one job can't be, though SQLite reads it."""
    return JobUnreadable(
        f"job {job} can't be read: the store {path} {what}. Other jobs go on; put a copy of the store back "
        "to have this one again, or submit it anew under another id"
    )


def _try_to_write(folder: Path) -> int:
    """Give the error of writing into a folder; 0 if it can be done."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        return error.errno or 0
    return 0


def _refuse_newer(db: sqlite3.Connection, path: Path) -> None:
    version = _version(db)
    if version > SCHEMA_VERSION:
        raise StoreTooNew(
            f"the store {path} has schema version {version}, this sojourn knows up to "
            f"{SCHEMA_VERSION}: start the newer sojourn that wrote it"
        )


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreFailed(
            f"the file system of {path} can't hold a write-ahead log (journal mode {mode!r}): "
            "put the home on a local disk"
        )
    for pragma, value in SETTINGS.items():
        db.execute(f"PRAGMA {pragma} = {value}")


def _migrate(db: sqlite3.Connection) -> None:
    folder = resources.files("sojourn.hosts.store") / "migrations"
    for number in range(_version(db) + 1, SCHEMA_VERSION + 1):
        script = (folder / f"{number:04}.sql").read_text()
        db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version
