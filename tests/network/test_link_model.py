"""The link model, as a function."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from tests.network.link_model import CLEAN, CUT, Conditions, fate

PACKETS = 2000
APART = 0.001


def fates(conditions: Conditions, *, seed: int = 1, link: str = "a>b") -> list[float | None]:
    """Send packets one millisecond apart and give how long each took."""
    floor = 0.0
    took: list[float | None] = []
    for number in range(PACKETS):
        now = number * APART
        due, floor = fate(seed, link, number, now, floor, conditions)
        took.append(None if due is None else due - now)
    return took


def test_a_clean_link_carries_everything_at_once() -> None:
    assert fates(CLEAN) == [0.0] * PACKETS


def test_a_cut_link_carries_nothing() -> None:
    assert fates(CUT) == [None] * PACKETS


def test_the_share_that_is_lost_is_the_share_that_was_asked_for() -> None:
    lost = fates(Conditions(loss=0.3)).count(None)
    assert abs(lost / PACKETS - 0.3) < 0.05


def test_delay_and_jitter_stay_in_their_bounds_and_keep_the_order() -> None:
    took = [t for t in fates(Conditions(delay=0.2, jitter=0.05)) if t is not None]
    assert len(took) == PACKETS
    assert min(took) >= 0.15 - 1e-9
    assert max(took) <= 0.25 + 1e-9
    assert statistics.pstdev(took) > 0.001
    arrivals = [number * APART + t for number, t in enumerate(took)]
    assert arrivals == sorted(arrivals)


def test_packets_that_are_held_back_are_overtaken() -> None:
    took = [t for t in fates(Conditions(held_back=0.2, held_for=0.01)) if t is not None]
    arrivals = [number * APART + t for number, t in enumerate(took)]
    overtaken = sum(arrivals[n] > min(arrivals[n + 1 : n + 11]) for n in range(PACKETS - 11))
    assert abs(overtaken / PACKETS - 0.2) < 0.05


def test_directions_of_a_link_have_fates_of_their_own() -> None:
    lossy = Conditions(loss=0.5)
    assert fates(lossy, link="a>b") != fates(lossy, link="b>a")


@given(
    seed=st.integers(), number=st.integers(0, 1 << 40), now=st.floats(0, 1e9), floor=st.floats(0, 1e9),
    conditions=st.builds(
        Conditions, loss=st.floats(0, 1), delay=st.floats(0, 10), jitter=st.floats(0, 10),
        held_back=st.floats(0, 1), held_for=st.floats(0, 10), cut=st.booleans(),
    ),
)
def test_the_same_packet_has_the_same_fate_and_never_arrives_before_it_was_sent(
    seed: int, number: int, now: float, floor: float, conditions: Conditions
) -> None:
    first = fate(seed, "a>b", number, now, floor, conditions)
    assert first == fate(seed, "a>b", number, now, floor, conditions)
    assert first.due is None or first.due >= max(now, floor)
    assert first.floor >= floor
