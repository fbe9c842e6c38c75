"""The store of the simulation passes the suite for stores."""

from __future__ import annotations

import pytest

from sojourn.hosts.store.protocol import Store
from tests.hosts.store.conformance import StoreConformance
from tests.hosts.store.conformance_jobs import StoreFactory
from tests.simulation.hosts.memory_store import Disk, MemoryStore


class TestMemoryConformance(StoreConformance):
    @pytest.fixture
    def store_factory(self) -> StoreFactory:
        disk = Disk()

        def open_anew(now: float) -> Store:
            return MemoryStore(disk, now, "a store")

        return open_anew
