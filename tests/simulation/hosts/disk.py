"""Stores whose commits have a fate: whole, lost, torn, refused, or durable though nobody was told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Protocol

from sojourn.hosts.store.protocol import Store
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.hosts.store.sqlite_writes import apply_writes
from sojourn.runtime.errors import StoreFailed
from sojourn.runtime.job import Writes
from tests.simulation.hosts.memory_store import Disk, MemoryStore
from tests.simulation.hosts.schedule import Died


class Fate(Enum):
    """What becomes of a commit."""

    WHOLE = "whole"
    LOST = "lost"
    """The host dies before anything of it is written."""
    TORN = "torn"
    """The host dies in the middle of it: what was written is rolled back when the store is opened."""
    UNTOLD = "untold"
    """It is on disk, and the host dies before it knows."""
    REFUSED = "refused"
    """The disk is full, or fails: nothing of it is on disk."""
    DOUBTFUL = "doubtful"
    """The disk says that it failed, and yet it is on disk when the store is opened again."""


class Decider(Protocol):
    """Says what becomes of commits, and is told of those that are durable."""

    def fate(self, writes: Writes) -> Fate: ...
    def durable(self, writes: Writes) -> None: ...


def carry_out(
    decider: Decider, writes: Writes, commit: Callable[[Writes], None], tear: Callable[[Writes], None]
) -> None:
    """Commit as it is fated."""
    fate = decider.fate(writes)
    if fate is Fate.TORN:
        tear(writes)
    if fate in (Fate.LOST, Fate.TORN):
        raise Died
    if fate is Fate.REFUSED:
        raise StoreFailed("the store failed (database or disk is full): as planned")
    commit(writes)
    decider.durable(writes)
    if fate is Fate.UNTOLD:
        raise Died
    if fate is Fate.DOUBTFUL:
        raise StoreFailed("the store failed (disk I/O error): as planned")


class SimMemoryStore(MemoryStore):
    """A store in memory whose commits have a fate."""

    def __init__(self, disk: Disk, now: float, fresh_id: str, decider: Decider) -> None:
        super().__init__(disk, now, fresh_id)
        self._decider = decider

    def commit(self, writes: Writes) -> None:
        """See ``Store.commit``."""
        carry_out(self._decider, writes, super().commit, lambda _writes: None)


class SimSqliteStore(SqliteStore):
    """The shipped store, whose commits have a fate."""

    decider: Decider

    @classmethod
    def of(cls, path: Path, now: float, fresh_id: str, decider: Decider) -> SimSqliteStore:
        """Open it; a new one gets the id that is given."""
        if not path.exists():
            SqliteStore.open(path, clock=lambda: now).close()
            db = sqlite3.connect(path)
            db.execute("UPDATE meta SET value = ? WHERE name = 'store_id'", (fresh_id,))
            db.execute("UPDATE meta SET value = '0' WHERE name = 'incarnation'")
            db.commit()
            db.close()
            path.with_name(path.name + ".incarnation").unlink()
        opened = SqliteStore.open(path, clock=lambda: now)
        opened.__class__ = cls
        assert isinstance(opened, SimSqliteStore)
        opened.decider = decider
        return opened

    def commit(self, writes: Writes) -> None:
        """See ``Store.commit``."""
        carry_out(self.decider, writes, super().commit, self._tear)

    def _tear(self, writes: Writes) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        apply_writes(self._db, writes)


def open_memory(disk: Disk, now: float, fresh_id: str, decider: Decider) -> Store:
    """Open a store in memory."""
    return SimMemoryStore(disk, now, fresh_id, decider)
