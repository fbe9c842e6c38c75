"""The values codec on examples: what comes back, what is refused with which sentence, golden bytes."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import textwrap
import tracemalloc
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType, SimpleNamespace
from typing import ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import numpy as np
import pytest

from sojourn.runtime.errors import ValueMalformed, ValueNotEncodable
from sojourn.runtime.values import (
    BLOB_THRESHOLD,
    EMPTY_FIELDS,
    BlobReference,
    ExtensionCode,
    blob_references,
    class_path,
    decode,
    decode_fields,
    digest_of,
    encode,
    encode_fields,
)


class Color(Enum):
    RED = "red"
    CRIMSON = "red"
    BLUE = (0, 0, 255)


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    YES = "yes"


class Rights(Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Plain:
    """Its constructor must never run while decoding."""

    built: ClassVar[int] = 0

    a: int
    b: object = None

    def __post_init__(self) -> None:
        type(self).built += 1


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0
    half: float = dataclasses.field(init=False, default=0.5)


@dataclasses.dataclass
class Grown:
    old: int
    added: int = 7
    items: list[int] = dataclasses.field(default_factory=lambda: list[int]())
    tags: list[str] = dataclasses.field(default_factory=list[str])


@dataclasses.dataclass
class GrownPlainly:
    old: int
    added: int = 7
    tags: list[str] = dataclasses.field(default_factory=list)  # pyright: ignore[reportUnknownVariableType]


@dataclasses.dataclass(frozen=True)
class Touchy:
    a: int

    def __hash__(self) -> int:
        raise LookupError("no hash today")


@dataclasses.dataclass
class Hidden(dict[str, int]):
    a: int = 1


@dataclasses.dataclass
class Unset:
    a: int = dataclasses.field(init=False)


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the plain kind is what is refused here


class Text(str):
    __slots__ = ()


class Table:
    """Resolves the classes above and nothing else."""

    def resolve(self, path: str) -> type | None:
        known = (Color, Level, Word, Rights, Plain, Point, Grown, GrownPlainly, Touchy, Table)
        return {class_path(cls): cls for cls in known}.get(path)


class Blobs:
    """A sink and source in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, data: bytes) -> BlobReference:
        self.kept[digest_of(data)] = data
        return BlobReference(digest_of(data), len(data))

    def get(self, digest: str) -> bytes:
        return self.kept[digest]


def extension(code: int, body: bytes) -> bytes:
    packed: bytes = msgpack.packb(msgpack.ExtType(code, body))
    return packed


def nested(levels: int) -> object:
    value: object = 1
    for level in range(levels):
        value = [value] if level % 2 else (value,)
    return value


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
        datetime(2024, 2, 29, 1, 2, 3, 4),
        datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC),
        datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=-5, seconds=7, microseconds=3))),
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
    ids=repr,
)
def test_a_value_comes_back_equal_and_of_the_same_type(value: object) -> None:
    found = decode(encode(value), Table())
    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value) or isinstance(value, (set, frozenset))


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
    naive = decode(encode(datetime(2024, 10, 27, 2, 30, fold=1)))
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
    data = extension(ExtensionCode.DATACLASS, msgpack.packb([class_path(GrownPlainly), {"old": 1}]))
    assert decode(data, Table()) == GrownPlainly(1, 7, [])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [({"old": 1}, "items"), ({"old": 1, "gone": 2}, "gone"), ({}, "old")],
)
def test_other_fields_than_the_class_has_are_refused(fields: dict[str, int], sentence: str) -> None:
    data = extension(ExtensionCode.DATACLASS, msgpack.packb([class_path(Grown), fields]))
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
def test_an_array_comes_back_with_its_type_and_shape_and_can_be_written(array: object) -> None:
    assert isinstance(array, np.ndarray)
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
    ids=repr,
)
def test_a_numpy_scalar_comes_back_as_one(scalar: object) -> None:
    found = decode(encode(scalar))
    assert found == scalar
    assert type(found) is type(scalar)


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


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (object, "builtins.object is not among the types"),
        (lambda: bytearray(b"x"), r"convert it with bytes\(\)"),
        (lambda: memoryview(b"x"), r"convert it with bytes\(\)"),
        (lambda: OrderedDict(a=1), "collections.OrderedDict"),
        (lambda: defaultdict(int), "collections.defaultdict"),
        (lambda: Counter("a"), "collections.Counter"),
        (lambda: deque([1]), "collections.deque"),
        (lambda: MappingProxyType({}), "builtins.mappingproxy"),
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


def test_a_container_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    knot: list[object] = []
    knot.append((knot,))
    for value in (loop, knot, {"a": loop}):
        with pytest.raises(ValueNotEncodable, match="^v can't be encoded: .*contains itself"):
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
    onward = extension(ExtensionCode.BLOB, blobs_body(digest, len(data)))
    blobs.kept[digest] = data
    with pytest.raises(ValueMalformed, match="refers to other blobs"):
        decode(onward, blobs=blobs)


def blobs_body(digest: str, size: int) -> bytes:
    return bytes.fromhex(digest) + size.to_bytes(8, "big")


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
        msgpack.packb(msgpack.ExtType(5, b"")),
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
        extension(ExtensionCode.ENUM, msgpack.packb([class_path(Color)])),
        extension(ExtensionCode.ENUM, msgpack.packb([class_path(Color), "GREEN"])),
        extension(ExtensionCode.ENUM, msgpack.packb([class_path(Color), 1])),
        extension(ExtensionCode.ENUM, msgpack.packb([class_path(Point), "x"])),
        extension(ExtensionCode.ENUM, msgpack.packb(["os:system", "x"])),
        extension(ExtensionCode.DATACLASS, msgpack.packb([class_path(Point), []])),
        extension(ExtensionCode.DATACLASS, msgpack.packb([class_path(Point), {1: 2}])),
        extension(ExtensionCode.DATACLASS, msgpack.packb([class_path(Table), {}])),
        extension(ExtensionCode.DATACLASS, msgpack.packb([class_path(Color), {}])),
        extension(ExtensionCode.DATACLASS, msgpack.packb([1, {}])),
        extension(ExtensionCode.DATACLASS, msgpack.packb(["json:JSONDecoder", {}])),
        extension(ExtensionCode.ARRAY, msgpack.packb(["|O", [1], bytes(8)])),
        extension(ExtensionCode.ARRAY, msgpack.packb(["|T16", [1], bytes(16)])),
        extension(ExtensionCode.ARRAY, msgpack.packb(["<f8,<O", [1], bytes(16)])),
        extension(ExtensionCode.ARRAY, msgpack.packb(["<f8", [3], bytes(16)])),
        extension(ExtensionCode.ARRAY, msgpack.packb(["<f8", [1], bytes(16)])),
        extension(ExtensionCode.ARRAY, msgpack.packb(["<f8", [-1], bytes(16)])),
        extension(ExtensionCode.ARRAY, msgpack.packb(["<f8", [True], bytes(8)])),
        extension(ExtensionCode.ARRAY, msgpack.packb(["<f8", [2**63, 2**63, 0], b""])),
        extension(ExtensionCode.ARRAY, msgpack.packb(["<f8", [1] * 65, bytes(8)])),
        extension(ExtensionCode.ARRAY, msgpack.packb(["<f3", [1], bytes(3)])),
        extension(ExtensionCode.ARRAY, msgpack.packb(["<U999999999", [0], b""])),
        extension(ExtensionCode.ARRAY, msgpack.packb([["<f8"], [1], bytes(8)])),
        extension(ExtensionCode.SCALAR, msgpack.packb(["<f8", bytes(16)])),
        extension(ExtensionCode.SCALAR, msgpack.packb(["|O", bytes(8)])),
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
    assert peak < 20 * count, "ninety lists of a million each would be 720 MB"


def test_the_value_of_an_unknown_class_says_which_class_to_import() -> None:
    for value in (Point(1), Color.RED):
        with pytest.raises(ValueMalformed, match=f"{class_path(type(value))} is no .* import it"):
            decode(encode(value))


# --- in a process of its own --------------------------------------------------------------


def run_python(code: str, *, cwd: Path) -> str:
    root = Path(__file__).parents[2]
    prelude = f"import sys; sys.path[:0] = [{str(root)!r}, {str(cwd)!r}]\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(code)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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
    ExtensionCode.ENUM: (Color.BLUE, b"\xc7&\x0b\x92\xbftests.runtime.test_values:Color\xa4BLUE"),
    ExtensionCode.DATACLASS: (
        Point(1, 2),
        b"\xc76\x0c\x92\xbftests.runtime.test_values:Point\x83\xa1x\x01\xa1y\x02\xa4half\xcb?\xe0\x00\x00\x00\x00\x00\x00",
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
    assert np.array_equal(found, value) if isinstance(value, np.ndarray) else found == value
