"""Downtime of a small job between hosts that are 20 ms apart, there and back.

The hosts are network namespaces and the link is the forwarder of the hand-off tests, so it needs root. The
limit is 2.5 of the round trips that pings of our own take over the same link, and 10 ms.
"""

from __future__ import annotations

import statistics
from collections.abc import Generator
from contextlib import contextmanager

import msgspec

from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import host
from benchmarks.suite.moves import there_and_back
from benchmarks.suite.verdicts import percentile
from tests.integration.hosting import Host, pair_hosts
from tests.network.link_model import Conditions
from tests.network.namespaces import unavailable
from tests.network.network import Network

ROUND_TRIPS = 2.5
BESIDE_MS = 10.0
PINGS = 20
SEED = 20261


class Sizes(msgspec.Struct, frozen=True):
    moves: int = 20
    """In a repetition; an even number."""

    round_trip_ms: float = 20.0


@contextmanager
def hosts_apart(run: Run[Sizes], network: Network) -> Generator[tuple[Host, Host]]:
    """Give two hosts in namespaces of their own, paired while the link was still clean."""
    made = [
        host(run.folder, name, at=network.address(name), inside=network.inside(name)) for name in ("a", "b")
    ]
    try:
        pair = made[0].up(), made[1].up()
        pair_hosts(*pair)
        network.set("a", "b", Conditions(delay=run.sizes.round_trip_ms / 2000))
        yield pair
    finally:
        for one in made:
            one.close()


def measure(run: Run[Sizes]) -> Measured:
    reason = unavailable()
    if reason is not None:
        return Measured([], absent={"p50": reason})
    ours: list[list[float]] = []
    trips: list[float] = []
    network = Network(("a", "b"), SEED)
    try:
        with hosts_apart(run, network) as pair, pair[0].client() as one, pair[1].client() as other:
            one.submit("waiting:small", job_id="waiting", i=1)
            one.wait("waiting", until="wait.retry_count >= 1", timeout=30)
            there_and_back(pair, (one, other), "waiting", 2)
            run.say(f"{run.sizes.moves} moves over {run.sizes.round_trip_ms:g} ms")
            for _ in run.repetitions():
                trips.append(statistics.median(network.probe("a", "b", PINGS).round_trips) * 1000)
                ours.append(there_and_back(pair, (one, other), "waiting", run.sizes.moves))
    finally:
        network.close()
    far = f"{run.sizes.round_trip_ms:g} ms apart"
    return Measured([
        Line("p50", f"downtime of a small job, {far}, median", "ms",
             [percentile(one, 0.5) for one in ours], f"{ROUND_TRIPS:g} round trips + {BESIDE_MS:g} ms",
             [ROUND_TRIPS * trip + BESIDE_MS for trip in trips]),
        Line("p99", f"downtime of a small job, {far}, 99 of 100", "ms",
             [percentile(one, 0.99) for one in ours]),
        Line("round_trip", "one round trip, pings", "ms", trips),
    ])


FIGURE = Figure(
    "handoff_distant", "Hand-off downtime with 20 ms of network round trip",
    Sizes(), Sizes(moves=2, round_trip_ms=4.0), measure,
)

if __name__ == "__main__":
    main(FIGURE)
