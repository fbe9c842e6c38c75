"""A network of three hosts, proven to be as bad as it is told to be, and supervisors on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.hosting import Host, pair_hosts
from tests.network.namespaces import unavailable
from tests.network.network import Network
from tests.network.proof import prove

SEED = int(os.environ.get("SOJOURN_NETWORK_SEED", "20261"))
"""Of every packet's fate."""

HOSTS = ("a", "b", "c")


@pytest.fixture(scope="session")
def proven() -> Iterator[tuple[Network, dict[str, str]]]:
    """The network and what was measured at its start."""
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)  # a failure where SOJOURN_CI=1
    network = Network(HOSTS, SEED)
    try:
        yield network, prove(network, "a", "b")
    finally:
        network.close()


@pytest.fixture
def network(proven: tuple[Network, dict[str, str]]) -> Network:
    """The network, every link clean."""
    network, _ = proven
    network.reset()
    return network


@pytest.fixture
def hosts(network: Network, tmp_path: Path) -> Iterator[dict[str, Host]]:
    """A host in each namespace, not up yet; killed at the test's end."""
    made = {
        name: Host(
            tmp_path, name, tmp_path / "effects", at=network.address(name), inside=network.inside(name)
        )
        for name in network.hosts
    }
    yield made
    for host in made.values():
        host.close()


@pytest.fixture
def pair(hosts: dict[str, Host]) -> tuple[Host, Host]:
    """Two hosts that are up and paired over a clean link."""
    one, other = hosts["a"].up(), hosts["b"].up()
    pair_hosts(one, other)
    return one, other
