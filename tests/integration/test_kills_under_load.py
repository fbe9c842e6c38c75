"""``kill -9`` at random moments over many moves under load: messages once, attempts exact, one owner.

A short run for every change; ``make soak`` runs longer. ``SOJOURN_SOAK_SEED`` repeats the choices of a run,
``SOJOURN_SOAK_SECONDS`` says how long the long one lasts.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, pair_hosts
from tests.integration.killing import Killing

SHORT = 40.0
LONG = float(os.environ.get("SOJOURN_SOAK_SECONDS", "600"))
SEED = os.environ.get("SOJOURN_SOAK_SEED")


def seed() -> int:
    """Give the seed of this run, and print it before anything can fail."""
    chosen = int(SEED) if SEED is not None else random.SystemRandom().randrange(1 << 32)
    print(f"SOJOURN_SOAK_SEED={chosen}")
    return chosen


@pytest.mark.parametrize(
    "seconds", [SHORT, pytest.param(LONG, marks=pytest.mark.soak)], ids=["short", "long"]
)
@pytest.mark.timeout(300)
def test_kills_under_load_break_nothing(pair: tuple[Host, Host], seconds: float) -> None:
    begun = time.monotonic()
    report = Killing(pair, seed()).run(seconds)
    print(f"{time.monotonic() - begun:.0f} s, {report}")
    assert report.hand_offs > 0
    assert report.kills.total() > 0


@pytest.mark.soak
def test_kills_under_load_between_three_hosts_break_nothing(make_host: MakeHost) -> None:
    a, b, c = (make_host(name).up() for name in ("a", "b", "c"))
    for one, other in ((a, b), (b, c), (c, a)):
        pair_hosts(one, other)
    report = Killing((a, b, c), seed()).run(LONG)
    print(report)
    assert report.hand_offs > 0
