"""Looking a store through before anything is done with it: damage is found while nothing was changed.

Reads what a running host works with; history and logs, which only grow, may be large and are left out.
Opens the file for reading only, and so changes neither it nor its write-ahead log.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

TABLES = (
    "meta", "jobs", "flows", "messages", "attributes", "shared", "questions", "blob_refs", "origins",
    "handoffs", "peers", "invites", "starts", "commands",
)
"""What is looked through, with its indexes."""


def find_damage(path: Path) -> str | None:
    """Tell what is wrong with the structure of a store's file; None if nothing is, or there is no file.

    SQLite keeps no checksums of its rows: a bit that flipped inside a value is not found here.

    Args:
        path: the file, which nobody has open.

    Raises:
        sqlite3.Error: if SQLite can't read it at all.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    log = path.with_name(path.name + "-wal")
    # Without a log nothing is to be read but the file, and SQLite need not make the files that go with one.
    how = "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as db:
        known = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        for table in TABLES:
            # SQLite before 3.33 takes no name, and looks the whole file through.
            for (line,) in db.execute(f"PRAGMA quick_check({table})") if table in known else ():
                if line != "ok":
                    return " ".join(str(line).split())
    return None


class Look:
    """A look through a store's file, by a thread of its own: SQLite needs no interpreter for it.

    Args:
        path: the file, which nobody writes meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: str | None = None
        self._error: sqlite3.Error | None = None
        self._thread = threading.Thread(target=self._run, name="sojourn-look", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found = find_damage(self._path)
        except sqlite3.Error as error:
            self._error = error

    def result(self) -> str | None:
        """Wait for its end and give what ``find_damage`` gave, or raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found
