"""How one write changes a key of the shared map, on encoded bytes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.shared import merge
from sojourn.runtime.values import decode, encode
from sojourn.runtime.wire.actor import SharedKind

WHOLE = st.integers(-(2**40), 2**40)
NUMBERS = WHOLE | st.floats(allow_nan=False, allow_infinity=False, width=32)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.frozensets(st.integers(0, 9)),
    max_leaves=8,
)


def merged(current: object, kind: SharedKind, operand: object) -> object:
    """Merge values; None stands for a key that isn't there."""
    result = merge(None if current is None else encode(current), kind, encode(operand))
    return None if result is None else decode(result)


@given(st.none() | VALUES, VALUES)
def test_set_replaces_whatever_was_there(current: object, value: object) -> None:
    operand = encode(value)
    assert merge(None if current is None else encode(current), SharedKind.SET, operand) == operand


@given(st.none() | VALUES)
def test_delete_leaves_nothing(current: object) -> None:
    assert merged(current, SharedKind.DELETE, None) is None


@given(st.lists(NUMBERS, min_size=1, max_size=6))
def test_add_sums_as_python_does_and_begins_at_nothing(numbers: list[float]) -> None:
    total: object = None
    for number in numbers:
        total = merged(total, SharedKind.ADD, number)
    expected: float = numbers[0]
    for number in numbers[1:]:
        expected += number
    assert total == expected
    assert type(total) is type(expected)


@given(st.lists(WHOLE, max_size=6).flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
def test_whole_numbers_come_to_the_same_in_any_order(orders: tuple[list[int], list[int]]) -> None:
    sums: list[bytes | None] = []
    for order in orders:
        current: bytes | None = None
        for number in order:
            current = merge(current, SharedKind.ADD, encode(number))
        sums.append(current)
    assert sums[0] == sums[1]


@given(st.lists(VALUES, max_size=5), VALUES)
def test_append_adds_one_value_of_any_type_at_the_end(items: list[object], value: object) -> None:
    assert merged(items, SharedKind.APPEND, value) == [*items, value]
    assert merge(encode(items), SharedKind.APPEND, encode(value)) == encode([*items, value])
    assert merged(None, SharedKind.APPEND, value) == [value]


@pytest.mark.parametrize("current", ["1", [1], {"a": 1}, True, b"1", (1,), Decimal(1)])
def test_add_to_what_is_no_number_is_refused(current: object) -> None:
    with pytest.raises(ValueMalformed, match="`add` doesn't fit what the key holds"):
        merged(current, SharedKind.ADD, 1)


@pytest.mark.parametrize("current", ["ab", 1, {"a": 1}, b"1", (1,), {1}])
def test_append_to_what_is_no_list_is_refused(current: object) -> None:
    with pytest.raises(ValueMalformed, match="`append` doesn't fit what the key holds"):
        merged(current, SharedKind.APPEND, 1)


def test_a_sum_beyond_what_can_be_stored_is_refused() -> None:
    with pytest.raises(ValueMalformed):
        merged(2**64 - 1, SharedKind.ADD, 1)


@pytest.mark.parametrize("kind", [SharedKind.ADD, SharedKind.APPEND])
def test_bytes_that_are_no_value_are_refused(kind: SharedKind) -> None:
    with pytest.raises(ValueMalformed):
        merge(b"\xc1", kind, encode(1))
