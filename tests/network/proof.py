"""Proves that the links do what they are told, by pings of our own, before a test relies on it.

Each fault is set on a link that carried everything just before, measured, and held against what was
asked for; a fault without effect is an ``AssertionError``, never a test that passes for no reason.
"""

from __future__ import annotations

import statistics

from tests.network.link_model import CLEAN, CUT, Conditions
from tests.network.network import Network
from tests.network.probe import Measured

PINGS = 150
FEW = 20
SIGMAS = 5.0
SLOW = 0.05
"""Seconds that a clean link may take for there and back: an idle one takes less than a millisecond."""

LATE = 0.15
"""Seconds by which a busy machine may be late; never early."""

LOSSY = Conditions(loss=0.3)
LATENT = Conditions(delay=0.2, jitter=0.05)
SHUFFLED = Conditions(held_back=0.25, held_for=0.02)


def prove(network: Network, one: str, other: str) -> dict[str, str]:
    """Measure each fault on a link, and leave it clean.

    Returns:
        What was measured, in words, by the name of the fault.

    Raises:
        AssertionError: if one takes no effect.
    """
    shown = {
        "clean": check_clean(network.probe(one, other, FEW)),
        "loss": check_loss(_under(network, one, other, LOSSY), LOSSY),
        "delay": check_delay(_under(network, one, other, LATENT, count=FEW), LATENT),
        "reordering": check_reordering(_under(network, one, other, SHUFFLED), SHUFFLED),
        "black hole": check_silence(_under(network, one, other, CUT, count=FEW)),
        "half-open": _prove_half_open(network, one, other),
    }
    network.set(one, other, CLEAN)
    check_clean(network.probe(one, other, FEW))
    return shown


def _under(
    network: Network, one: str, other: str, conditions: Conditions, *, count: int = PINGS
) -> Measured:
    network.set(one, other, conditions)
    return network.probe(one, other, count, wait=1.0 if conditions != CUT else 0.2)


def _prove_half_open(network: Network, one: str, other: str) -> str:
    """One direction carries on, the other swallows: no answer comes, but the pings arrive."""
    network.set(one, other, CLEAN)
    network.set_one_way(other, one, CUT)
    before = network.counts()
    check_silence(network.probe(one, other, FEW, wait=0.2))
    after = network.counts()
    arrived = after[f"{one}>{other}"].carried - before[f"{one}>{other}"].carried
    swallowed = after[f"{other}>{one}"].swallowed - before[f"{other}>{one}"].swallowed
    assert arrived >= FEW, f"only {arrived} of {FEW} pings arrived over the direction that lives"
    assert swallowed >= FEW, f"only {swallowed} answers met the dead direction"
    return f"{arrived} arrived one way, {swallowed} swallowed the other way"


def check_clean(measured: Measured) -> str:
    """A clean link loses nothing and is quick."""
    assert measured.lost == 0.0, f"a clean link lost {measured.lost:.0%}"
    took = statistics.median(measured.round_trips)
    assert took < SLOW, f"a clean link took {took * 1000:.1f} ms"
    return f"{took * 1000:.2f} ms there and back"


def check_loss(measured: Measured, conditions: Conditions) -> str:
    """Both ways are lossy: what comes back survived twice."""
    wanted = 1.0 - (1.0 - conditions.loss) ** 2
    room = SIGMAS * (wanted * (1.0 - wanted) / measured.sent) ** 0.5
    assert abs(measured.lost - wanted) <= room, (
        f"{measured.lost:.0%} of the pings were lost instead of about {wanted:.0%}"
    )
    return f"{measured.lost:.0%} of {measured.sent} pings lost there and back, {wanted:.0%} expected"


def check_delay(measured: Measured, conditions: Conditions) -> str:
    """Every ping takes twice the shortest delay or more; half of them not much more than the longest."""
    assert measured.lost == 0.0, f"a link that only delays lost {measured.lost:.0%}"
    least = 2 * (conditions.delay - conditions.jitter)
    most = 2 * (conditions.delay + conditions.jitter) + LATE
    took = sorted(measured.round_trips)
    middle = statistics.median(took)
    assert took[0] >= least, f"a ping took {took[0] * 1000:.0f} ms, less than {least * 1000:.0f} ms"
    assert middle <= most, f"pings took {middle * 1000:.0f} ms, more than {most * 1000:.0f} ms"
    assert took[-1] - took[0] > conditions.jitter / 5, "every ping took the same time: no jitter"
    return f"{took[0] * 1000:.0f} to {took[-1] * 1000:.0f} ms there and back"


def check_reordering(measured: Measured, conditions: Conditions) -> str:
    """A good part of the pings is overtaken."""
    assert measured.lost == 0.0, f"a link that only reorders lost {measured.lost:.0%}"
    share = measured.overtaken / measured.sent
    assert share > conditions.held_back / 3, f"only {share:.0%} of the pings were overtaken"
    return f"{share:.0%} of {measured.sent} pings overtaken"


def check_silence(measured: Measured) -> str:
    """Nothing comes back."""
    assert not measured.round_trips, f"{len(measured.round_trips)} pings came back"
    return f"none of {measured.sent} pings came back"
