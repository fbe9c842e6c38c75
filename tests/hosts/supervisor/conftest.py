"""A host's shared state over a store of its own, with nothing running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sojourn.hosts.home import Home
from sojourn.hosts.options import UpOptions
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.hosts.supervisor.core import Core


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    home = Home(tmp_path / "a")
    home.create()
    store = SqliteStore.open(home.store, clock=lambda: 0.0)
    yield Core(UpOptions(str(home.root), "a"), home, store)
    store.close()
