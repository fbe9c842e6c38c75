"""Moves of jobs between two hosts, and the floor that they are held against."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.bare.curve import CurveLine
from benchmarks.bare.disk import fsync_seconds
from sojourn import Client, Handoff
from tests.integration.hosting import Host

ROUND_TRIPS = 1.5
FSYNCS = 3
"""What a hand-off can't do without: the offer, its answer and the commit; three durable writes."""

ATTEMPTS = 100


class Floor:
    """The parts of a hand-off's floor, measured where and when the hand-offs are.

    Args:
        folder: on the disk of the hosts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._line = CurveLine()

    def round_trip(self) -> float:
        """Give the median milliseconds of a round trip under CURVE, over loopback."""
        return statistics.median(self._line.round_trips(ATTEMPTS)) * 1000

    def fsync(self) -> float:
        """Give the median milliseconds of an fsync."""
        return statistics.median(fsync_seconds(self._folder, ATTEMPTS)) * 1000

    def stream(self, size: int) -> float:
        """Give the seconds that ``size`` bytes take under CURVE, over loopback."""
        return self._line.stream(size)

    def close(self) -> None:
        """End the other side of the line."""
        self._line.close()


def floor(round_trip: float, fsync: float) -> float:
    """Give the least downtime that a hand-off could have, in the unit of both."""
    return ROUND_TRIPS * round_trip + FSYNCS * fsync


def there_and_back(
    pair: tuple[Host, Host], clients: tuple[Client, Client], job: str, moves: int
) -> list[float]:
    """Move a job to the other host again and again; an even number of times leaves it where it was.

    Returns:
        The downtime of each move in milliseconds, by its source's clock.
    """
    found: list[float] = []
    for number in range(moves):
        here, there = number % 2, 1 - number % 2
        found.append(downtime(clients[here].migrate(job, pair[there].name)[0]))
    return found


def downtime(handoff: Handoff) -> float:
    """Give the milliseconds without a runner."""
    if handoff.downtime_ms is None:
        raise SystemExit(f"the hand-off of {handoff.job_id} to {handoff.target} wasn't measured")
    return handoff.downtime_ms
