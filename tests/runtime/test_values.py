"""The values codec on examples: what comes back, what is refused with which sentence, golden bytes."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pytest

from sojourn.runtime.errors import ValueMalformed, ValueNotEncodable
from sojourn.runtime.values import (
    BLOB_THRESHOLD,
    BlobReference,
    Encoder,
    ExtensionCode,
    blob_references,
    class_path,
    decode,
    decode_fields,
    encode,
    encode_fields,
)
from tests.runtime.values_examples import (
    Blobs,
    Color,
    Grown,
    GrownPlainly,
    Level,
    Plain,
    Point,
    Rights,
    Table,
    Watched,
    Word,
    extension,
    packed,
)

# --- round trips --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**63),
        2**64 - 1,
        2**64,
        -(2**63) - 1,
        -(10**40),
        1.5,
        float("inf"),
        -0.0,
        "ü😀",
        b"\x00\xff",
        [],
        {},
        [1, [2, {"a": None}]],
        {1: "a", (1, 2): "b", "c": {None: 3.5, frozenset({1}): b""}},
        (),
        (1, (2, [3])),
        set[int](),
        {1, "a", None, (1, 2)},
        frozenset({frozenset({1})}),
        datetime(2024, 2, 29, 1, 2, 3, 4),  # noqa: DTZ001 - naive on purpose
        datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC),
        datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=-5, seconds=7, microseconds=3))),
        datetime(2024, 2, 29, tzinfo=timezone(timedelta(microseconds=-1))),
        date(1, 1, 1),
        timedelta.max,
        timedelta.min,
        timedelta(microseconds=-1),
        Decimal("1.10"),
        Decimal("-0E+5"),
        Decimal("Infinity"),
        UUID(int=5),
        complex(-0.0, float("inf")),
        Path("/a/b c"),
        Path(),
        Color.BLUE,
        Level.LOW,
        Word.YES,
        Rights.READ,
        Plain(1, [Plain(2)]),
        Point(1, 2),
        {Point(1): Point(2)},
        Plain(1, {"when": (date(2024, 1, 1), {Decimal(3)})}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back_equal_and_of_the_same_type(value: object) -> None:
    found = decode(encode(value), Table())
    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value) or isinstance(value, (set, frozenset))


def test_an_encoder_makes_of_each_value_what_encode_makes_of_it() -> None:
    encoder = Encoder(Table())
    values = [{"a": 1}, {"a": (Point(1), {2})}, "x" * 3_000_000, {"a": b"\x00"}, Color.RED]
    for value in values * 2:
        assert encoder.encode(value) == encode(value)
        with pytest.raises(ValueNotEncodable):
            encoder.encode([value, object()])


def test_what_is_encoded_while_another_value_is_disturbs_neither(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = {"before": [1, 2], "watched": Watched(3), "after": "x"}
    alone = encode(value)
    encoder = Encoder()
    inside: list[bytes] = []
    monkeypatch.setattr(Watched, "at_reading", [lambda: inside.append(encoder.encode({"inside": 1}))])
    assert encoder.encode(value) == alone
    assert inside == [encode({"inside": 1})]


def test_the_order_of_a_dict_is_kept() -> None:
    assert list(decode_fields(encode({"b": 1, "a": 2}))) == ["b", "a"]


def test_sets_are_encoded_alike_whatever_order_they_were_filled_in() -> None:
    assert encode({8, 0, "a", (1,)}) == encode({(1,), "a", 0, 8})


def test_a_zone_becomes_its_offset_and_the_second_of_two_equal_hours_stays_the_second() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    second = datetime(2024, 10, 27, 2, 30, tzinfo=berlin, fold=1)
    found = decode(encode(second))
    assert isinstance(found, datetime)
    assert found.timestamp() == second.timestamp()
    assert found.utcoffset() == timedelta(hours=1)
    naive = decode(encode(datetime(2024, 10, 27, 2, 30, fold=1)))  # noqa: DTZ001 - naive on purpose
    assert isinstance(naive, datetime)
    assert naive.fold == 1


def test_an_alias_of_an_enum_comes_back_as_the_member_itself() -> None:
    assert decode(encode(Color.CRIMSON), Table()) is Color.RED


@pytest.mark.parametrize("path", [PurePosixPath("a/b"), PureWindowsPath("a\\b")])
def test_every_kind_of_path_comes_back_as_a_path(path: object) -> None:
    assert decode(encode(path)) == Path("a/b")


def test_a_dataclass_is_built_without_its_constructor() -> None:
    data = encode(Plain(1, "b"))
    before = Plain.built
    assert decode(data, Table()) == dataclasses.replace(Plain(1, "b"))
    assert Plain.built == before + 2, "only this test itself may have called it"


def test_a_field_added_since_takes_its_plain_default() -> None:
    data = extension(ExtensionCode.DATACLASS, packed([class_path(GrownPlainly), {"old": 1}]))
    assert decode(data, Table()) == GrownPlainly(1, 7, [])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [({"old": 1}, "items"), ({"old": 1, "gone": 2}, "gone"), ({}, "old")],
)
def test_other_fields_than_the_class_has_are_refused(fields: dict[str, int], sentence: str) -> None:
    data = extension(ExtensionCode.DATACLASS, packed([class_path(Grown), fields]))
    with pytest.raises(ValueMalformed, match=sentence):
        decode(data, Table())


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1, 2], [3, 4]], dtype=">i2"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(10)[::3],
        np.array(7.5),
        np.zeros((0, 3)),
        np.array(["a", "üü"]),
        np.array([b"a", b"bc"]),
        np.array(["2024-01-01", "NaT"], dtype="M8[ns]"),
        np.array([True, False]),
        np.array([1 + 2j], dtype="c8"),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_an_array_comes_back_with_its_type_and_shape_and_can_be_written(
    array: npt.NDArray[np.generic],
) -> None:
    found = decode(encode(array))
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()
    assert found.flags.writeable


@pytest.mark.parametrize(
    "scalar",
    [
        np.float64(1.5),
        np.int8(-1),
        np.bool_(True),
        np.str_("ü"),
        np.str_(""),
        np.datetime64("2024"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_numpy_scalar_comes_back_as_one(scalar: object) -> None:
    found = decode(encode(scalar))
    assert found == scalar
    assert type(found) is type(scalar)


# --- blobs --------------------------------------------------------------------------------


def test_a_large_value_becomes_one_reference() -> None:
    blobs = Blobs()
    value = (b"x" * BLOB_THRESHOLD, {1})
    data = encode(value, blobs=blobs)
    [reference] = blob_references(data)
    assert len(data) < 60
    assert reference == BlobReference(*next((k, len(v)) for k, v in blobs.kept.items()))
    assert decode(data, blobs=blobs) == value
    assert blobs.kept[reference.digest] == encode(value)


def test_only_values_over_the_threshold_become_blobs() -> None:
    blobs = Blobs()
    at_threshold = b"x" * (BLOB_THRESHOLD - 5)
    assert len(encode(at_threshold)) == BLOB_THRESHOLD - 2
    assert blob_references(encode(at_threshold + b"xx", blobs=blobs)) == []
    assert len(blob_references(encode(at_threshold + b"xxx", blobs=blobs))) == 1
    assert blob_references(encode(at_threshold * 2)) == []


def test_of_fields_only_the_large_ones_become_blobs() -> None:
    blobs = Blobs()
    fields = {"small": (1, 2), "large": "x" * BLOB_THRESHOLD, "other": b"y" * (2 * BLOB_THRESHOLD)}
    data = encode_fields(fields, where="f", blobs=blobs)
    assert [found.size for found in blob_references(data)] == [65541, 131077]
    assert decode_fields(data, blobs=blobs) == fields
    many_small = {str(number): "x" * 1000 for number in range(100)}
    assert blob_references(encode_fields(many_small, where="f", blobs=blobs)) == []


def test_a_blob_that_is_not_at_hand_has_another_size_or_refers_on_is_refused() -> None:
    blobs = Blobs()
    data = encode(b"x" * BLOB_THRESHOLD * 2, blobs=blobs)
    with pytest.raises(ValueMalformed, match="isn't at hand"):
        decode(data)
    [digest] = blobs.kept
    blobs.kept[digest] = b"\xc0"
    with pytest.raises(ValueMalformed, match="1 bytes instead of"):
        decode(data, blobs=blobs)
    onward = extension(ExtensionCode.BLOB, bytes.fromhex(digest) + len(data).to_bytes(8, "big"))
    blobs.kept[digest] = data
    with pytest.raises(ValueMalformed, match="refers to other blobs"):
        decode(onward, blobs=blobs)


def test_a_source_that_fails_is_heard_with_its_own_error() -> None:
    class Broken(Blobs):
        def get(self, digest: str) -> bytes:
            raise PermissionError(digest)

    data = encode(b"x" * BLOB_THRESHOLD * 2, blobs=Blobs())
    with pytest.raises(PermissionError):
        decode(data, blobs=Broken())


def test_a_reference_inside_another_extension_is_refused_by_all_readers() -> None:
    reference = extension(ExtensionCode.BLOB, bytes(40))
    data = extension(ExtensionCode.TUPLE, b"\x91" + reference)
    with pytest.raises(ValueMalformed, match="can't stand inside"):
        decode(data, blobs=Blobs())
    assert blob_references(data) == []
    assert [found.digest for found in blob_references(b"\x81\xa1a" + reference)] == ["00" * 32]


# --- golden bytes -------------------------------------------------------------------------

GOLDEN: dict[ExtensionCode, tuple[object, bytes]] = {
    ExtensionCode.DATETIME: (
        datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC),
        b"\xc7 \x012024-02-29T01:02:03.000004+00:00",
    ),
    ExtensionCode.DATE: (date(2024, 2, 29), b"\xc7\n\x022024-02-29"),
    ExtensionCode.TIMEDELTA: (
        timedelta(days=-1, microseconds=1),
        b"\xc7\x0c\x03\xff\xff\xff\xff\x00\x00\x00\x00\x01\x00\x00\x00",
    ),
    ExtensionCode.DECIMAL: (Decimal("-1.10"), b"\xc7\x05\x04-1.10"),
    ExtensionCode.UUID: (
        UUID(int=1),
        b"\xd8\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01",
    ),
    ExtensionCode.SET: ({2, 1}, b"\xc7\x03\x06\x92\x01\x02"),
    ExtensionCode.FROZENSET: (frozenset({"b", "a"}), b"\xc7\x05\x07\x92\xa1a\xa1b"),
    ExtensionCode.TUPLE: ((1, ("a", None)), b"\xd7\x08\x92\x01\xd6\x08\x92\xa1a\xc0"),
    ExtensionCode.COMPLEX: (
        1 - 2j,
        b"\xd8\t\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00\xc0",
    ),
    ExtensionCode.PATH: (Path("/a/b"), b"\xd6\n/a/b"),
    ExtensionCode.ENUM: (
        Color.BLUE,
        b"\xc7+\x0b\x92\xd9#tests.runtime.values_examples:Color\xa4BLUE",
    ),
    ExtensionCode.DATACLASS: (
        Point(1, 2),
        (
            b"\xc7;\x0c\x92\xd9#"
            b"tests.runtime.values_examples:Point"
            b"\x83\xa1x\x01\xa1y\x02\xa4half\xcb?\xe0\x00\x00\x00\x00\x00\x00"
        ),
    ),
    ExtensionCode.ARRAY: (
        np.array([[1, 2]], dtype="<i2"),
        b"\xc7\x0e\r\x93\xa3<i2\x92\x01\x02\xc4\x04\x01\x00\x02\x00",
    ),
    ExtensionCode.SCALAR: (np.int8(-1), b"\xd7\x0e\x92\xa3|i1\xc4\x01\xff"),
    ExtensionCode.INTEGER: (2**64, b"\xc7\t\x0f\x01\x00\x00\x00\x00\x00\x00\x00\x00"),
    ExtensionCode.BLOB: (
        "x" * (BLOB_THRESHOLD + 1),
        b"\xc7(\x10\xa6\xd4P\x0c\x04\xb2\xe7\x8b_\x9e\x0b,\xbd\xa3\x0cd\x98\xca\xaa\x85w\xbf[\xe9|F\xb3s\xb1\xcd\xa1F\x00\x00\x00\x00\x00\x01\x00\x06",
    ),
}


def test_golden_bytes_cover_every_extension() -> None:
    assert set(GOLDEN) == set(ExtensionCode)


@pytest.mark.parametrize("code", list(ExtensionCode), ids=lambda code: code.name)
def test_the_bytes_of_each_extension_never_change(code: ExtensionCode) -> None:
    value, golden = GOLDEN[code]
    blobs = Blobs()
    assert encode(value, blobs=blobs) == golden
    found = decode(golden, Table(), blobs)
    assert type(found) is type(value)
    assert encode(found) == encode(value)
    if not isinstance(value, np.ndarray):
        assert found == value
