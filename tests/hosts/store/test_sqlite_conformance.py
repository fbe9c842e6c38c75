"""The SQLite store passes the suite for stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sojourn.hosts.store.protocol import Store
from sojourn.hosts.store.sqlite import SqliteStore
from tests.hosts.store.conformance import StoreConformance
from tests.hosts.store.conformance_jobs import StoreFactory


class TestSqliteConformance(StoreConformance):
    @pytest.fixture
    def store_factory(self, tmp_path: Path) -> Iterator[StoreFactory]:
        opened: list[SqliteStore] = []

        def open_anew(now: float) -> Store:
            while opened:
                opened.pop().close()
            opened.append(SqliteStore.open(tmp_path / "store.db", clock=lambda: now))
            return opened[0]

        yield open_anew
        while opened:
            opened.pop().close()
