"""The JSON form of values on examples: golden forms, exact way back, refusals."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from uuid import UUID

import msgpack
import numpy as np
import pytest

from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.values import BlobReference, ExtensionCode, decode, encode, encode_fields
from sojourn.runtime.values_json import fields_from_json, fields_to_json, from_json, to_json

HERE = __name__


class Color(Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: object = None


class KeepNothing:
    """A sink that only names what it is given."""

    def put(self, data: bytes) -> BlobReference:
        return BlobReference("ab" * 32, len(data))


def marked(kind: str, value: object, **more: object) -> dict[str, object]:
    return {"$sojourn": kind, **more, "value": value}


def strange_nan() -> float:
    [value] = struct.unpack(">d", bytes.fromhex("fff8000000000001"))
    assert isinstance(value, float)
    return value


FORMS: list[tuple[object, object]] = [
    (None, None),
    (True, True),
    (-3, -3),
    (2**63, 2**63),
    (2**64, 2**64),
    (-(2**200), -(2**200)),
    (2**2048, marked("int", hex(2**2048))),
    (-(10**5000), marked("int", hex(-(10**5000)))),
    (1.0, 1.0),
    (math.inf, marked("float", "inf")),
    (-math.inf, marked("float", "-inf")),
    (math.nan, marked("float", "nan")),
    (strange_nan(), marked("float", "nan:fff8000000000001")),
    ("ü", "ü"),
    (b"\x00\xff", marked("bytes", "AP8=")),
    ([1, [2]], [1, [2]]),
    ({"b": 1, "a": {}}, {"b": 1, "a": {}}),
    ({1: "a", "b": 2}, marked("dict", [[1, "a"], ["b", 2]])),
    ({(1, 2): 3}, marked("dict", [[marked("tuple", [1, 2]), 3]])),
    ({"$sojourn": "tuple"}, marked("dict", [["$sojourn", "tuple"]])),
    ((), marked("tuple", [])),
    ((1, (2,)), marked("tuple", [1, marked("tuple", [2])])),
    ({2, 1}, marked("set", [1, 2])),
    (frozenset({"b", "a"}), marked("frozenset", ["a", "b"])),
    (datetime(2024, 2, 29, 1, 2, 3, 4), marked("datetime", "2024-02-29T01:02:03.000004")),  # noqa: DTZ001 - naive on purpose
    (datetime(2024, 2, 29, tzinfo=UTC), marked("datetime", "2024-02-29T00:00:00+00:00")),
    (datetime(2024, 2, 29, fold=1), marked("datetime", "2024-02-29T00:00:00f")),  # noqa: DTZ001 - naive on purpose
    (date(2024, 2, 29), marked("date", "2024-02-29")),
    (timedelta(-1, 2, 3), marked("timedelta", [-1, 2, 3])),
    (Decimal("1.10"), marked("decimal", "1.10")),
    (Decimal("sNaN12"), marked("decimal", "sNaN12")),
    (UUID(int=1), marked("uuid", "00000000-0000-0000-0000-000000000001")),
    (complex(1, math.inf), marked("complex", [1.0, marked("float", "inf")])),
    (Path("/a/b"), marked("path", "/a/b")),
    (Color.RED, marked("enum", "RED", **{"class": f"{HERE}:Color"})),
    (
        Point(1, (2,)),
        marked("dataclass", {"x": 1, "y": marked("tuple", [2])}, **{"class": f"{HERE}:Point"}),
    ),
    (
        np.array([[1], [2]], dtype="<i2"),
        marked("array", "AQACAA==", dtype="<i2", shape=[2, 1]),
    ),
    (np.float32(1), marked("scalar", "AACAPw==", dtype="<f4")),
]


@pytest.mark.parametrize(("value", "form"), FORMS, ids=lambda part: type(part).__name__)
def test_the_json_form_and_its_way_back_through_text(value: object, form: object) -> None:
    data = encode(value)
    assert to_json(data) == form
    assert json.loads(json.dumps(to_json(data))) == form
    assert from_json(json.loads(json.dumps(form)), where="it") == data
    nested = encode({"a": [value], "b": (value,)})
    assert from_json(json.loads(json.dumps(to_json(nested))), where="it") == nested


def test_the_forms_above_and_the_blob_cover_every_extension() -> None:
    shown: set[int] = set()
    for value, _ in FORMS:
        packed = msgpack.unpackb(encode(value), strict_map_key=False)
        shown.add(packed.code if isinstance(packed, msgpack.ExtType) else -1)
    assert shown - {-1} == set(ExtensionCode) - {ExtensionCode.BLOB}


def test_a_blob_is_shown_by_digest_and_size_and_comes_back() -> None:
    data = encode(b"x" * 100_000, blobs=KeepNothing())
    assert to_json(data) == {"$sojourn": "blob", "digest": "ab" * 32, "size": 100_005}
    assert from_json(to_json(data), where="it") == data


def test_fields_are_shown_one_by_one_and_may_be_called_like_the_mark() -> None:
    data = encode_fields({"$sojourn": (1,), "b": 2}, where="f")
    form = fields_to_json(data)
    assert form == {"$sojourn": marked("tuple", [1]), "b": 2}
    assert fields_from_json(form, where="f") == data


def test_the_deepest_value_has_a_json_form_and_a_deeper_one_is_refused() -> None:
    deepest: object = 1
    for level in range(100):
        deepest = {0: deepest} if level % 2 else Point(1, deepest)
    data = encode(deepest)
    text = json.dumps(to_json(data))
    assert from_json(json.loads(text), where="it") == data
    for form in (to_json(data), deepest_lists(100)):
        with pytest.raises(ValueMalformed, match="nested more than 100"):
            from_json([form], where="it")
        with pytest.raises(ValueMalformed, match=r"f\['a'\]: .*nested more than 100"):
            fields_from_json({"a": form}, where="f")
    with pytest.raises(ValueMalformed, match="nested more than 100"):
        to_json(b"\x91" + data)
    with pytest.raises(ValueMalformed, match="nested more than 100"):
        fields_to_json(b"\x81\xa1a" + data)


def deepest_lists(levels: int) -> object:
    value: object = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "form",
    [
        object(),
        (1, 2),
        {1: 2},
        "a\ud800",
        {"a\ud800": 1},
        {"$sojourn": 1, "value": 2},
        {"$sojourn": [], "value": 2},
        {"$sojourn": "tuple"},
        marked("pickle", "gASVAAAA"),
        marked("tuple", [], extra=1),
        marked("tuple", "ab"),
        marked("set", {}),
        marked("set", [object()]),
        marked("bytes", "AP8"),
        marked("bytes", "A P8="),
        marked("bytes", 1),
        marked("dict", {}),
        marked("dict", [[1]]),
        marked("dict", [[[1], 1]]),
        marked("dict", ["ab"]),
        marked("float", "1.5"),
        marked("float", "nan:3ff0000000000000"),
        marked("float", "fff8000000000001"),
        marked("float", "nan:ff"),
        marked("int", "0x1"),
        marked("int", "many"),
        marked("int", 5),
        marked("datetime", "yesterday"),
        marked("datetime", 5),
        marked("date", "2024-02-30"),
        marked("timedelta", [1, 2]),
        marked("timedelta", [1, 2, True]),
        marked("timedelta", [10**10, 0, 0]),
        marked("decimal", "one"),
        marked("uuid", "1"),
        marked("complex", [1.0]),
        marked("complex", [1.0, "2"]),
        marked("complex", [1.0, True]),
        marked("complex", [10**400, 1]),
        marked("path", None),
        marked("enum", "RED"),
        marked("enum", 1, **{"class": "a:B"}),
        marked("enum", "RED", **{"class": None}),
        marked("dataclass", [], **{"class": "a:B"}),
        marked("dataclass", {1: 2}, **{"class": "a:B"}),
        marked("array", "AQACAA==", dtype="|O", shape=[2]),
        marked("array", "AQACAA==", dtype="<i2", shape=[3]),
        marked("array", "AQACAA==", dtype="<i2", shape=2),
        marked("array", "AQACAA==", dtype="<i2", shape=[-2]),
        marked("array", "AQACAA==", dtype=2, shape=[2]),
        marked("scalar", "AQACAA==", dtype="<i2"),
        {"$sojourn": "blob", "digest": "ab" * 31, "size": 1},
        {"$sojourn": "blob", "digest": "xy" * 32, "size": 1},
        {"$sojourn": "blob", "digest": "ab" * 32, "size": -1},
        {"$sojourn": "blob", "digest": "ab" * 32, "size": 2**64},
        {"$sojourn": "blob", "digest": "ab" * 32, "size": 1.5},
    ],
    ids=lambda form: "object" if type(form) is object else ascii(form)[:40],
)
def test_what_is_no_form_of_a_value_is_malformed(form: object) -> None:
    with pytest.raises(ValueMalformed, match=r"^it"):
        from_json(form, where="it")
    with pytest.raises(ValueMalformed, match=r"^it"):
        from_json([1, {"a": form}], where="it")
    with pytest.raises(ValueMalformed, match=r"^it\['a'\]"):
        fields_from_json({"a": form}, where="it")


@pytest.mark.parametrize("form", [[], "a", None, {1: 2}], ids=repr)
def test_fields_must_be_an_object_with_text_keys(form: object) -> None:
    with pytest.raises(ValueMalformed, match=r"text|object"):
        fields_from_json(form, where="it")


@pytest.mark.parametrize("data", [b"\x90", b"\x81\x01\x02", b"", b"\xa1"], ids=repr)
def test_fields_that_are_no_map_with_text_keys_are_malformed(data: bytes) -> None:
    with pytest.raises(ValueMalformed):
        fields_to_json(data)


def test_numbers_of_a_complex_may_have_lost_their_point_on_the_way() -> None:
    assert decode(from_json(marked("complex", [1, -2]), where="it")) == 1 - 2j
