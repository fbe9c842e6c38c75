"""A job about which something isn't certain is not run until nothing is uncertain any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sojourn.hosts.home import Home
from sojourn.hosts.options import UpOptions
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.hosts.supervisor.claims import Contests
from sojourn.hosts.supervisor.core import Core, read_clocks
from sojourn.runtime.wire.claims import Claims

ROW = 1


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    home = Home(tmp_path / "a")
    home.create()
    store = SqliteStore.open(home.store, clock=lambda: 0.0)
    yield Core(UpOptions(str(home.root), "a"), home, store)
    store.close()


@pytest.fixture
def contests(core: Core) -> Contests:
    return Contests(core, lambda _peer: True, lambda _job: False, lambda _instance, _epoch: False)


def test_a_second_doubt_doesnt_take_the_place_of_the_first(core: Core, contests: Contests) -> None:
    done: list[str] = []
    contests.withhold(ROW, "m1", {"b"}, "b hasn't confirmed that it gave it away")
    contests.withhold(ROW, "m2", {"c"}, "c is asked", patience=0.0, then=lambda: done.append("m2"))
    contests.tick(read_clocks().monotonic + 1.0)
    assert done == ["m2"]
    assert core.withheld == {ROW: "b hasn't confirmed that it gave it away"}
    contests.tick(read_clocks().monotonic + 1e9)
    assert ROW in core.withheld, "the first has no patience"
    contests.settled(ROW, "m1")
    assert core.withheld == {}


def test_the_word_of_a_host_settles_only_the_doubts_that_wait_for_it(
    core: Core, contests: Contests
) -> None:
    contests.withhold(ROW, "m1", {"b"}, "b")
    contests.withhold(ROW, "m2", {"c"}, "c")
    contests.received("c", Claims(0, []))
    assert core.withheld == {ROW: "b"}
    contests.received("b", Claims(0, []))
    assert core.withheld == {}
