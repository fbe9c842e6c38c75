"""What the values codec refuses, with which sentence: values outside the closed set, hostile bytes."""

from __future__ import annotations

import dataclasses
import re
import tracemalloc
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import datetime, time, timedelta, tzinfo
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import msgpack
import numpy as np
import pytest

from sojourn.runtime.errors import ValueMalformed, ValueNotEncodable
from sojourn.runtime.values import (
    EMPTY_CLASSES,
    EMPTY_FIELDS,
    ExtensionCode,
    class_path,
    decode,
    decode_fields,
    encode,
    encode_fields,
)
from tests.runtime.values_examples import (
    NOTHING,
    Color,
    Hidden,
    Pair,
    Plain,
    Point,
    Rights,
    Table,
    Text,
    Touchy,
    Unset,
    extension,
    nested,
    packed,
    run_python,
)

# --- refusals -----------------------------------------------------------------------------


def local_class() -> object:
    @dataclasses.dataclass
    class Local:
        a: int

    return Local(1)


def imposter() -> object:
    return dataclasses.make_dataclass("Imposter", ["a"], namespace={"__module__": __name__})(1)


def of_main() -> object:
    return dataclasses.make_dataclass("Main", ["a"], namespace={"__module__": "__main__"})(1)


class Zone(tzinfo):
    def utcoffset(self, dt: datetime | None, /) -> timedelta | None:
        raise LookupError("no such zone")

    def dst(self, dt: datetime | None, /) -> None:
        return None

    def tzname(self, dt: datetime | None, /) -> None:
        return None


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (object, "builtins.object is not among the types"),
        (lambda: bytearray(b"x"), r"convert it with bytes\(\)"),
        (lambda: memoryview(b"x"), r"convert it with bytes\(\)"),
        (lambda: OrderedDict([("a", 1)]), "collections.OrderedDict"),
        (lambda: defaultdict[str, int](int), "collections.defaultdict"),
        (lambda: Counter("a"), "collections.Counter"),
        (lambda: deque([1]), "collections.deque"),
        (lambda: MappingProxyType({"a": 1}), "builtins.mappingproxy"),
        (lambda: Pair(1, 2), "Pair"),
        (lambda: Text("a"), "Text"),
        (lambda: Fraction(1, 2), "fractions.Fraction"),
        (lambda: time(1), "datetime.time"),
        (lambda: range(3), "builtins.range"),
        (lambda: (item for item in "a"), "builtins.generator"),
        (lambda: len, "builtin_function_or_method"),
        (lambda: ValueError("a"), "builtins.ValueError"),
        (lambda: SimpleNamespace(a=1), "types.SimpleNamespace"),
        (lambda: Point, "builtins.type"),
        (lambda: Color, "enum.EnumType"),
        (lambda: msgpack.ExtType(5, b""), "msgpack.ext.ExtType"),
        (lambda: msgpack.Timestamp(1), "msgpack.ext.Timestamp"),
        (lambda: "a\ud800", "lone surrogate"),
        (lambda: Path("a\udcff"), "lone surrogate"),
        (lambda: Rights.READ | Rights.WRITE, "`.value`"),
        (lambda: Hidden(), "derives from a builtin type"),
        (lambda: Unset(), "field 'a' of this Unset can't be read"),
        (local_class, "local to a function"),
        (imposter, "isn't what .*Imposter leads to"),
        (of_main, "defined in __main__"),
        (lambda: datetime(2024, 1, 1, tzinfo=Zone()), "no such zone"),
        (lambda: np.array([object()]), "dtype object can't be stored"),
        (lambda: np.array(["a"], dtype=np.dtypes.StringDType()), "StringDType"),
        (lambda: np.zeros(1, dtype=[("a", "i4")]), "can't be stored"),
        (lambda: np.ma.masked_array([1]), "MaskedArray"),
        (lambda: nested(101), "nested more than 100 levels"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_what_is_outside_the_closed_set_is_refused_and_its_place_named(
    make: Callable[[], object], sentence: str
) -> None:
    value = make()
    with pytest.raises(ValueNotEncodable, match=f"^state can't be encoded: .*{sentence}"):
        encode(value, where="state")
    too_deep = "nested" in sentence
    place = "state" if too_deep else r"state\['a'\]\[1\]\[0\]"
    with pytest.raises(ValueNotEncodable, match=f"^{place} can't be encoded: .*{sentence}"):
        encode({"b": b"", "a": [1, (value,)]}, where="state")


def test_the_sentence_names_places_in_keys_sets_and_dataclasses() -> None:
    for value, place in [
        ({(1, Text("a")): 1}, r"the key \(1, 'a'\) of v\[1\]"),
        ({Text("a")}, "an element of v"),
        (Plain(1, [Text("a")]), r"v\.b\[0\]"),
        ({10**5000: object()}, r"v\[<int>\]"),
        ({"k" * 1000: object()}, r"v\['k{59}…\]"),
    ]:
        with pytest.raises(ValueNotEncodable, match=place) as refused:
            encode(value, where="v")
        assert len(refused.value.message) < 500


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("foreign", [bytearray(b"x"), memoryview(b"x"), msgpack.Timestamp(1), Text("a")])
def test_a_flat_value_of_any_size_is_searched_for_what_has_no_place_in_it(
    size: int, foreign: object
) -> None:
    for fields in ({"text": "x" * size, "foreign": foreign}, {"foreign": foreign, "text": b"x" * size}):
        with pytest.raises(ValueNotEncodable, match=re.escape("the message['foreign'] can't be encoded")):
            encode_fields(fields, where="the message")
    with pytest.raises(ValueNotEncodable):
        encode({memoryview(b"x") if isinstance(foreign, bytearray) else foreign: "x" * size})


@pytest.mark.parametrize("size", [1, 1000])
def test_a_timestamp_of_messagepacks_is_malformed_beside_values_of_any_size(size: int) -> None:
    for stamp in (msgpack.Timestamp(1), msgpack.Timestamp(1, 1), msgpack.Timestamp(-1, 1)):
        with pytest.raises(ValueMalformed, match="timestamps"):
            decode_fields(packed({"text": "x" * size, "when": stamp}))


def test_a_container_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    knot: list[object] = []
    knot.append((knot,))
    for value in (loop, knot, {"a": loop}):
        with pytest.raises(ValueNotEncodable, match=r"^v can't be encoded: .*contains itself"):
            encode(value, where="v")


def test_the_depth_that_can_be_encoded_can_be_decoded() -> None:
    deepest = nested(100)
    assert decode(encode(deepest)) == deepest
    wide = [nested(99) for _ in range(50)]
    assert decode(encode(wide)) == wide


def test_fields_must_have_text_as_names() -> None:
    with pytest.raises(
        ValueNotEncodable, match=r"^progress can't be encoded: its keys must be text"
    ):
        encode_fields({1: 2}, where="progress")  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueMalformed, match="must be text"):
        decode_fields(encode({1: 2}))
    with pytest.raises(ValueMalformed, match="must be a map"):
        decode_fields(encode([1]))


def test_no_fields_are_one_byte() -> None:
    assert EMPTY_FIELDS == b"\x80"
    assert decode_fields(EMPTY_FIELDS) == {}


# --- hostile bytes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\xc0\xc0",
        b"\x92\x01",
        b"\xa2\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x81\x90\x01",
        b"\x81\x80\x01",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\x91\xd6\xff\x00\x00\x00\x00",
        b"\xc7\x0c\xff" + bytes(12),
        b"\xc8\x00\x0c\xff" + bytes(12),
        b"\x91" * 101 + b"\xc0",
        b"\x91" * 5000 + b"\xc0",
        b"\x81\x01" * 600 + b"\xc0",
        extension(0, b""),
        extension(17, b""),
        extension(127, b"abc"),
        packed(msgpack.ExtType(5, b"")),
        extension(ExtensionCode.DATETIME, b"yesterday"),
        extension(ExtensionCode.DATETIME, b"\xff"),
        extension(ExtensionCode.DATE, b"2024-02-30"),
        extension(ExtensionCode.TIMEDELTA, bytes(11)),
        extension(ExtensionCode.TIMEDELTA, b"\xff\xff\xff\x7f" + bytes(8)),
        extension(ExtensionCode.DECIMAL, b"one"),
        extension(ExtensionCode.DECIMAL, b"1e99999999999999999999"),
        extension(ExtensionCode.UUID, bytes(15)),
        extension(ExtensionCode.COMPLEX, bytes(15)),
        extension(ExtensionCode.PATH, b"\xff"),
        extension(ExtensionCode.INTEGER, b""),
        extension(ExtensionCode.INTEGER, b"\x01"),
        extension(ExtensionCode.TUPLE, b""),
        extension(ExtensionCode.TUPLE, b"\xc0"),
        extension(ExtensionCode.TUPLE, b"\x90\x90"),
        extension(ExtensionCode.SET, b"\x91\x90"),
        extension(ExtensionCode.SET, b"\x91" + extension(ExtensionCode.DECIMAL, b"sNaN")),
        extension(ExtensionCode.SET, b"\x91" + encode(Touchy(1))),
        b"\x81" + encode(Touchy(1)) + b"\x01",
        extension(ExtensionCode.FROZENSET, b"\x92\x01"),
        extension(ExtensionCode.ENUM, packed([class_path(Color)])),
        extension(ExtensionCode.ENUM, packed([class_path(Color), "GREEN"])),
        extension(ExtensionCode.ENUM, packed([class_path(Color), 1])),
        extension(ExtensionCode.ENUM, packed([class_path(Point), "x"])),
        extension(ExtensionCode.ENUM, packed(["os:system", "x"])),
        extension(ExtensionCode.DATACLASS, packed([class_path(Point), [1]])),
        extension(ExtensionCode.DATACLASS, packed([class_path(Point), {1: 2}])),
        extension(ExtensionCode.DATACLASS, packed([class_path(Table), NOTHING])),
        extension(ExtensionCode.DATACLASS, packed([class_path(Color), NOTHING])),
        extension(ExtensionCode.DATACLASS, packed([1, NOTHING])),
        extension(ExtensionCode.DATACLASS, packed(["json:JSONDecoder", NOTHING])),
        extension(ExtensionCode.ARRAY, packed(["|O", [1], bytes(8)])),
        extension(ExtensionCode.ARRAY, packed(["|T16", [1], bytes(16)])),
        extension(ExtensionCode.ARRAY, packed(["<f8,<O", [1], bytes(16)])),
        extension(ExtensionCode.ARRAY, packed(["<f8", [3], bytes(16)])),
        extension(ExtensionCode.ARRAY, packed(["<f8", [1], bytes(16)])),
        extension(ExtensionCode.ARRAY, packed(["<f8", [-1], bytes(16)])),
        extension(ExtensionCode.ARRAY, packed(["<f8", [True], bytes(8)])),
        extension(ExtensionCode.ARRAY, packed(["<f8", [2**63, 2**63, 0], b""])),
        extension(ExtensionCode.ARRAY, packed(["<f8", [1] * 65, bytes(8)])),
        extension(ExtensionCode.ARRAY, packed(["<f3", [1], bytes(3)])),
        extension(ExtensionCode.ARRAY, packed(["<U999999999", [0], b""])),
        extension(ExtensionCode.ARRAY, packed([["<f8"], [1], bytes(8)])),
        extension(ExtensionCode.SCALAR, packed(["<f8", bytes(16)])),
        extension(ExtensionCode.SCALAR, packed(["|O", bytes(8)])),
        extension(ExtensionCode.BLOB, bytes(39)),
        extension(ExtensionCode.BLOB, bytes(40)),
    ],
    ids=lambda data: data[:20].hex(),
)
def test_bytes_that_no_value_has_are_malformed(data: bytes) -> None:
    with pytest.raises(ValueMalformed):
        decode(data, Table())


def test_a_depth_bomb_of_extensions_is_malformed() -> None:
    data = b"\x90"
    for _ in range(150):
        data = extension(ExtensionCode.TUPLE, b"\x91" + data)
    with pytest.raises(ValueMalformed, match="nested more than 100"):
        decode(data)


def test_lengths_that_are_only_claimed_allocate_nothing() -> None:
    count = 1_000_000
    data = (b"\xdd" + count.to_bytes(4, "big")) * 90 + bytes(count)
    tracemalloc.start()
    try:
        with pytest.raises(ValueMalformed, match="No more data"):
            decode(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * count, "with msgpack 1.0 and 1.1, ninety lists of a million each are 720 MB"


def test_the_value_of_an_unknown_class_says_which_class_to_import() -> None:
    for value in (Point(1), Color.RED):
        with pytest.raises(ValueMalformed, match=f"{class_path(type(value))} is no .* import it"):
            decode(encode(value))


# --- in a process of its own --------------------------------------------------------------


def test_decoding_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')\n")
    array = encode(np.array([1.0]))
    output = run_python(
        f"""
        import msgpack
        from sojourn.runtime import values
        from sojourn.runtime.errors import ValueMalformed
        from sojourn.runtime.values_json import from_json, to_json

        class Loaded:
            def resolve(self, path):
                name, _, rest = path.partition(":")
                return getattr(sys.modules.get(name), rest, None)

        before = set(sys.modules)
        body = msgpack.packb(["trap:Thing", {{}}])
        thing = msgpack.packb(msgpack.ExtType(values.ExtensionCode.DATACLASS, body))
        for data in (thing, {array!r}):
            try:
                values.decode(data, Loaded())
            except ValueMalformed as error:
                print(error)
            assert from_json(to_json(data), where="it") == data
        print(sorted(set(sys.modules) - before))
        """,
        cwd=tmp_path,
    )
    [thing, array_line, imported] = output.splitlines()
    assert thing.startswith("trap:Thing is no dataclass")
    assert "import numpy" in array_line
    assert imported == "[]"


def test_neither_deep_values_nor_deep_bytes_overflow_the_stack(tmp_path: Path) -> None:
    output = run_python(
        """
        import threading, msgpack
        from sojourn.runtime.errors import ValueMalformed, ValueNotEncodable
        from sojourn.runtime.values import decode, encode
        from sojourn.runtime.values_json import from_json, to_json

        value = 1
        for _ in range(99):
            for _ in range(500):
                value = [value]
            value = (value,)
        try:
            encode(value)
        except ValueNotEncodable as error:
            print(error)

        def read():
            for depth in (100, 400):
                data = b"\\xc0"
                for _ in range(depth):
                    data = msgpack.packb(msgpack.ExtType(8, b"\\x91" + data))
                try:
                    decode(data)
                    print(from_json(to_json(data), where="it") == data)
                except ValueMalformed as error:
                    print(error)

        threading.stack_size(512 * 1024)
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        """,
        cwd=tmp_path,
    )
    [encoding, shallow, deep] = output.splitlines()
    assert "nested more than 100 levels" in encoding
    assert shallow == "True"
    assert "nested more than 100 levels" in deep


def test_a_class_that_the_table_of_the_decoder_has_not_is_refused_at_once() -> None:
    for value in (Color.RED, Point(1, 2), [{"in": (Point(1, 2),)}]):
        assert encode(value)
        with pytest.raises(ValueNotEncodable, match=r"couldn't be found again.*: import it at the top"):
            encode(value, classes=EMPTY_CLASSES)
        with pytest.raises(ValueNotEncodable, match="couldn't be found again"):
            encode_fields({"field": value}, where="the message", classes=EMPTY_CLASSES)
