"""Hosts for integration tests, cleaned up after each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.hosting import Host, pair_hosts

MakeHost = Callable[..., Host]


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    """The file that routines append to."""
    return tmp_path / "effects"


@pytest.fixture
def make_host(tmp_path: Path, effects: Path) -> Iterator[MakeHost]:
    """Make hosts that are killed at the test's end."""
    made: list[Host] = []

    def make(name: str, **options: bool) -> Host:
        host = Host(tmp_path, name, effects, **options)
        made.append(host)
        return host

    yield make
    for host in made:
        host.close()


@pytest.fixture
def host(make_host: MakeHost) -> Host:
    """One host that is up."""
    return make_host("a").up()


@pytest.fixture
def pair(make_host: MakeHost) -> tuple[Host, Host]:
    """Two hosts that are up and paired."""
    one, other = make_host("a").up(), make_host("b").up()
    pair_hosts(one, other)
    return one, other
