"""The values codec on generated values: exact round trips, and no other error than ValueMalformed."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import time, timedelta, timezone
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import cast

import msgpack
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from hypothesis.strategies import SearchStrategy

from sojourn.runtime.errors import ValueMalformed, ValueNotEncodable
from sojourn.runtime.values import (
    BLOB_THRESHOLD,
    BlobReference,
    blob_references,
    class_path,
    decode,
    decode_fields,
    digest_of,
    encode,
    encode_fields,
)
from sojourn.runtime.values_json import fields_from_json, fields_to_json, from_json, to_json


class Color(Enum):
    RED = 1
    BLUE = "b"


@dataclasses.dataclass
class Loose:
    """Any parts, equal by value, no hash."""

    a: object
    b: object


@dataclasses.dataclass(frozen=True, slots=True)
class Tight:
    """Hashable parts only."""

    a: object
    b: object


class Table:
    def resolve(self, path: str) -> type | None:
        return {class_path(cls): cls for cls in (Color, Loose, Tight)}.get(path)


class Blobs:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, data: bytes) -> BlobReference:
        self.kept[digest_of(data)] = data
        return BlobReference(digest_of(data), len(data))

    def get(self, digest: str) -> bytes:
        return self.kept[digest]


def same(one: object, other: object) -> bool:
    """Equal and of the same types in every part; NaN is the same as NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other or (math.isnan(one) and math.isnan(cast("float", other)))
    if isinstance(one, (np.ndarray, np.generic)):
        found = cast("np.generic", other)
        return (one.dtype, one.shape, one.tobytes()) == (found.dtype, found.shape, found.tobytes())
    if isinstance(one, (list, tuple)):
        return same_items(cast("list[object]", one), cast("list[object]", other))
    if isinstance(one, dict):
        return same_items(
            flat(cast("dict[object, object]", one)), flat(cast("dict[object, object]", other))
        )
    if isinstance(one, Loose | Tight):
        found_parts = cast("Loose", other)
        return same(one.a, found_parts.a) and same(one.b, found_parts.b)
    return repr(one) == repr(other) or one == other


def flat(pairs: dict[object, object]) -> list[object]:
    return [part for pair in pairs.items() for part in pair]


def same_items(one: list[object], other: list[object]) -> bool:
    return len(one) == len(other) and all(map(same, one, other))


OFFSETS = st.none() | st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
ATOMS: SearchStrategy[object] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.datetimes(timezones=OFFSETS),
    st.dates(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.complex_numbers(allow_nan=False),
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8).map(Path),
    st.sampled_from(Color),
)
HASHABLE: SearchStrategy[object] = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.frozensets(inner, max_size=4),
        st.builds(Tight, inner, inner),
    ),
    max_leaves=6,
)
ARRAYS = numpy_strategies.arrays(
    st.one_of(
        numpy_strategies.scalar_dtypes(),
        numpy_strategies.unicode_string_dtypes(max_len=4),
        numpy_strategies.byte_string_dtypes(max_len=4),
    ),
    numpy_strategies.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
SCALARS = ARRAYS.filter(lambda array: array.size > 0).map(lambda array: array.reshape(-1)[0])
VALUES: SearchStrategy[object] = st.recursive(
    st.one_of(
        HASHABLE,
        st.floats(),
        st.complex_numbers(),
        st.decimals(),
        ARRAYS,
        SCALARS,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.sets(HASHABLE, max_size=5),
        st.dictionaries(st.text() | HASHABLE, inner, max_size=5),
        st.builds(Loose, inner, inner),
    ),
    max_leaves=12,
)
FIELDS = st.dictionaries(st.text(), VALUES, max_size=4)


@given(VALUES)
def test_every_value_of_the_closed_set_comes_back(value: object) -> None:
    data = encode(value)
    found = decode(data, Table())
    assert same(found, value)
    assert encode(found) == data


OUTSIDERS: list[object] = [
    object(), len, Color, range(3), bytearray(b"x"), memoryview(b"x"), time(1), Fraction(1, 2),
    ValueError("x"), OrderedDict[str, int](), deque[int](), "\ud800", np.array([object()]),
    msgpack.ExtType(5, b""), msgpack.Timestamp(1),
]


def hold(inside: object, beside: list[object], way: int) -> object:
    """Put a value into a container beside others."""
    choices = ([*beside, inside], (inside, *beside), {"it": inside, "or": beside}, Loose(beside, inside))
    return choices[way]


@given(
    st.sampled_from(OUTSIDERS), st.lists(st.integers(0, 3), max_size=6), st.lists(HASHABLE, max_size=2)
)
def test_a_value_with_anything_else_in_it_is_refused_wherever_that_stands(
    outsider: object, ways: list[int], beside: list[object]
) -> None:
    value = outsider
    for way in ways:
        value = hold(value, beside, way)
    with pytest.raises(ValueNotEncodable, match="can't be encoded: "):
        encode(value)
    with pytest.raises(ValueNotEncodable, match="can't be encoded: "):
        encode_fields({"field": value}, where="the message")


@given(FIELDS)
def test_fields_come_back(fields: dict[str, object]) -> None:
    data = encode_fields(fields, where="f")
    assert same(decode_fields(data, Table()), fields)
    form = json.loads(json.dumps(fields_to_json(data)))
    assert fields_from_json(form, where="f") == data


@given(VALUES)
@example({"$sojourn": {"$sojourn": 1}})
@example({"a": {b"": 1}, "$sojourn": "tuple", "value": []})
def test_the_json_form_gives_the_same_bytes_back(value: object) -> None:
    data = encode(value)
    text = json.dumps(to_json(data), allow_nan=False)
    assert from_json(json.loads(text), where="it") == data


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), st.integers(-20, 20))
def test_fields_with_blobs_come_back(fields: dict[str, object], around: int) -> None:
    fields["large"] = bytes(BLOB_THRESHOLD + around)
    blobs = Blobs()
    data = encode_fields(fields, where="f", blobs=blobs)
    assert same(decode_fields(data, Table(), blobs), fields)
    assert {found.digest for found in blob_references(data)} == set(blobs.kept)
    assert len(data) <= BLOB_THRESHOLD or not blobs.kept or len(fields) > 1
    form = json.loads(json.dumps(fields_to_json(data)))
    assert fields_from_json(form, where="f") == data


def read_all_ways(data: bytes) -> None:
    """Only ValueMalformed may come out of any reader, and what one gives must hold together."""
    blobs = Blobs()
    readers: list[Callable[[], object]] = [
        lambda: decode(data, Table(), blobs),
        lambda: decode_fields(data, Table(), blobs),
        lambda: blob_references(data),
        lambda: fields_to_json(data),
    ]
    for read in readers:
        try:
            read()
        except ValueMalformed:
            pass
        except KeyError:
            # The source's own error: it was asked for a blob that it hasn't.
            assert blob_references(data)
    try:
        form = to_json(data)
    except ValueMalformed:
        return
    again = from_json(json.loads(json.dumps(form)), where="it")
    assert to_json(again) == form


@given(st.binary(max_size=200))
def test_random_bytes_are_values_or_malformed(data: bytes) -> None:
    read_all_ways(data)


@given(st.integers(0, 255), st.binary(max_size=64))
def test_random_bodies_of_extensions_are_values_or_malformed(code: int, body: bytes) -> None:
    read_all_ways(b"\xc7" + bytes([len(body), code]) + body)


@given(VALUES, st.data())
def test_damaged_values_are_values_or_malformed(value: object, data: st.DataObject) -> None:
    encoded = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(encoded) - 1))
        encoded[place] = data.draw(st.integers(0, 255))
    read_all_ways(bytes(encoded))


@given(VALUES, st.data())
def test_truncated_and_extended_values_are_malformed(value: object, data: st.DataObject) -> None:
    encoded = encode(value)
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    longer = encoded + data.draw(st.binary(min_size=1, max_size=5))
    for broken in (cut, longer):
        for read in (decode, to_json, blob_references):
            try:
                read(broken)
            except ValueMalformed:
                continue
            raise AssertionError(f"{read.__name__} accepted {broken!r}")


KINDS = st.sampled_from(
    [
        "bytes",
        "dict",
        "float",
        "int",
        "timedelta",
        "complex",
        "uuid",
        "enum",
        "dataclass",
        "array",
        "scalar",
        "blob",
        "datetime",
        "date",
        "decimal",
        "path",
        "tuple",
        "set",
        "frozenset",
        "other",
    ]
)
PARTS = ("value", "class", "dtype", "shape", "digest", "size")


def json_around(inner: SearchStrategy[object]) -> SearchStrategy[object]:
    def mark(kind: str, value: object) -> object:
        return {"$sojourn": kind, "value": value}

    def mark_freely(kind: str, parts: dict[str, object]) -> object:
        return {"$sojourn": kind, **parts}

    return st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.builds(mark, KINDS, inner),
        st.builds(mark_freely, KINDS, st.dictionaries(st.sampled_from(PARTS), inner)),
    )


JSON_FORMS: SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=8).map(lambda data: base64.b64encode(data).decode())
    | st.sampled_from(
        ["<f8", "|O", "|T16", "ab" * 32, "nan", "0x10", "2024-01-01", class_path(Color)]
    ),
    json_around,
    max_leaves=10,
)


@given(JSON_FORMS)
def test_any_json_is_a_form_of_a_value_or_malformed(form: object) -> None:
    try:
        data = from_json(form, where="it")
    except ValueMalformed:
        return
    assert from_json(to_json(data), where="it") == data
