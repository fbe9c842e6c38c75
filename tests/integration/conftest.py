"""Hosts for integration tests, cleaned up after each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.integration.disks import Disk, MakeDisk, unavailable
from tests.integration.hosting import EXAMPLES, FLOWS, Host, pair_hosts


class MakeHost(Protocol):
    """Makes a host with its home in the test's folder; it is not up yet."""

    def __call__(
        self, name: str, *, listen: bool = True, paths: Iterable[Path] = (FLOWS,)
    ) -> Host: ...


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    """The file that routines append to."""
    return tmp_path / "effects"


@pytest.fixture
def make_host(tmp_path: Path, effects: Path, request: pytest.FixtureRequest) -> Iterator[MakeHost]:
    """Make hosts that are killed at the test's end, before the disks under them are taken off."""
    if "make_disk" in request.fixturenames:
        request.getfixturevalue("make_disk")
    made: list[Host] = []

    def make(name: str, *, listen: bool = True, paths: Iterable[Path] = (FLOWS,)) -> Host:
        host = Host(tmp_path, name, effects, listen=listen, paths=paths)
        made.append(host)
        return host

    yield make
    for host in made:
        host.close()


@pytest.fixture
def make_disk() -> Iterator[MakeDisk]:
    """Make file systems that are unmounted at the test's end."""
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)  # a failure where SOJOURN_CI=1
    made: list[Disk] = []

    def make(folder: Path, megabytes: int, *, kind: str = "tmpfs") -> Disk:
        disk = Disk(folder, megabytes, kind)
        made.append(disk)
        return disk

    yield make
    for disk in made:
        disk.close()


@pytest.fixture
def host(make_host: MakeHost) -> Host:
    """One host that is up."""
    return make_host("a").up()


@pytest.fixture
def pair(make_host: MakeHost) -> tuple[Host, Host]:
    """Two hosts that are up and paired."""
    one, other = make_host("a"), make_host("b")
    for host in (one, other):
        host.launch()
    pair_hosts(one.ready(), other.ready())
    return one, other


@pytest.fixture
def example_pair(make_host: MakeHost) -> tuple[Host, Host]:
    """Two hosts that are up and paired, and run the examples."""
    one = make_host("a", paths=[EXAMPLES]).up()
    other = make_host("b", paths=[EXAMPLES]).up()
    pair_hosts(one, other)
    return one, other
