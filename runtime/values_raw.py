"""What encoded values look like as bytes: extension types, their bodies, depth. No class is needed.

In the raw form lists, dicts and plain values are themselves and an extension is the pair
``(code, body)``, so a raw tree has no other tuples. Decoder and JSON form both start from it. Never
builds a user's value and never trusts a length that the bytes claim.
"""

from __future__ import annotations

import re
from enum import IntEnum
from math import prod
from typing import TypeGuard

import msgpack
import msgspec

from sojourn.runtime.errors import ValueMalformed

DEEPEST = 100
"""How many containers (lists, dicts, tuples, sets, dataclasses) may nest in each other."""

_SMALL_BYTES = 4096
"""Up to this size the memory that false lengths can claim is harmless."""

_DIGEST_BYTES = 32
REFERENCE_BYTES = 40
_CONTAINER_HEADERS = bytes(
    [*range(0x80, 0xA0), *range(0xC7, 0xCA), *range(0xD4, 0xD9), *range(0xDC, 0xE0)]
)
_TIMESTAMP_HEADERS = (b"\xd6\xff", b"\xd7\xff", b"\x0c\xff")
"""How MessagePack's own timestamps begin: extension type -1 of 4, 8 or 12 bytes."""

_MOST_DIMENSIONS = 64
"""NumPy's own limit."""

_DTYPE = re.compile(
    r"[<>|](?:(?P<kind>[biufcSU])(?P<size>[0-9]{1,9})"
    r"|[mM]8(?:\[[0-9]{0,9}(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as|generic)\])?)"
)
"""NumPy types whose bytes are plain data. Every other (objects, ``StringDType``) holds pointers."""


SCALARS = frozenset({str, int, float, bool, type(None), bytes})
"""Types that mean the same in MessagePack, in the raw form and to users."""


class ExtensionCode(IntEnum):
    """MessagePack extension types of this codec: numbers are part of the stored format."""

    DATETIME = 1
    DATE = 2
    TIMEDELTA = 3
    DECIMAL = 4
    UUID = 5
    SET = 6
    FROZENSET = 7
    TUPLE = 8
    COMPLEX = 9
    PATH = 10
    ENUM = 11
    DATACLASS = 12
    ARRAY = 13
    SCALAR = 14
    INTEGER = 15
    BLOB = 16


SEQUENCES = frozenset({ExtensionCode.TUPLE, ExtensionCode.SET, ExtensionCode.FROZENSET})
_CONTAINERS = SEQUENCES | {ExtensionCode.DATACLASS}


class BlobReference(msgspec.Struct, frozen=True):
    """A value kept in a file of its own: sha256 (hex) and size in bytes of its encoding."""

    digest: str
    size: int


def parse(data: bytes) -> tuple[object, list[tuple[int, bytes]]]:
    """Read bytes into the raw form.

    Args:
        data: one encoded value.

    Returns:
        The raw value, and its extensions except those inside other extensions' bodies.

    Raises:
        ValueMalformed: if the bytes are no MessagePack, cut off, or followed by others.
    """
    found: list[tuple[int, bytes]] = []

    def keep(code: int, body: bytes) -> tuple[int, bytes]:
        pair = (code, body)
        found.append(pair)
        return pair

    try:
        if len(data) > _SMALL_BYTES:
            _require_complete(data)
        value: object = msgpack.unpackb(data, ext_hook=keep, strict_map_key=False)
    except (ValueError, TypeError, OverflowError, MemoryError, msgpack.UnpackException) as error:
        reason = str(error) or "cut off"
        raise ValueMalformed(f"the bytes are no encoded value: {reason}") from None
    return value, found


def _require_complete(data: bytes) -> None:
    """Skip over the value first: msgpack 1.1 and older allocate lists at the length they claim."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(data), strict_map_key=False)
    unpacker.feed(data)
    unpacker.skip()


def may_be_deep(data: bytes) -> bool:
    """Tell, quickly, whether a value could nest deeper than ``DEEPEST``; never wrongly False."""
    size = len(data)
    return size > DEEPEST and size - len(data.translate(None, _CONTAINER_HEADERS)) > DEEPEST


def may_hold_timestamp(data: bytes) -> bool:
    """Tell, quickly, whether a value could hold a timestamp of MessagePack's; never wrongly False."""
    return 0xFF in data and any(header in data for header in _TIMESTAMP_HEADERS)


def is_deep(data: bytes) -> bool:
    """Tell whether an encoded value nests deeper than ``DEEPEST``.

    Raises:
        ValueMalformed: if the bytes are no encoded value.
    """
    if not may_be_deep(data):
        return False
    level = [parse(data)[0]]
    for _ in range(DEEPEST):
        if not level:
            return False
        level = [part for item in level for part in _parts(item)]
        level = [part for part in level if is_container(part)]
    return bool(level)


def is_container(raw: object) -> bool:
    """Tell whether a raw value can hold others."""
    if is_extension(raw):
        return raw[0] in _CONTAINERS
    return isinstance(raw, (list, dict))


def is_flat(value: object) -> bool:
    """Tell whether a value, raw or not, is a plain one or a dict of them: it holds nothing special."""
    if type(value) in SCALARS:
        return True
    if not is_dict(value) or type(value) is not dict:
        return False
    return SCALARS.issuperset(map(type, value)) and SCALARS.issuperset(map(type, value.values()))


def _parts(raw: object) -> list[object]:
    if is_list(raw):
        return raw
    if is_dict(raw):
        return [*raw.keys(), *raw.values()]
    if is_extension(raw):
        code, body = raw
        if code in SEQUENCES:
            return read_sequence(body)
        if code == ExtensionCode.DATACLASS:
            return list(read_dataclass(body)[1].values())
    return []


def is_extension(raw: object) -> TypeGuard[tuple[int, bytes]]:
    """Tell whether a raw value is an extension."""
    return type(raw) is tuple


def is_list(value: object) -> TypeGuard[list[object]]:
    """Tell whether a value is a list, of anything."""
    return isinstance(value, list)


def is_dict(value: object) -> TypeGuard[dict[object, object]]:
    """Tell whether a value is a dict, of anything."""
    return isinstance(value, dict)


def is_named(value: object) -> TypeGuard[dict[str, object]]:
    """Tell whether a value is a dict whose keys are text."""
    if not isinstance(value, dict):
        return False
    for name in value:  # noqa: SIM110  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(name, str):  # not `all`: a generator costs more than the few names of a message
            return False
    return True


# --- bodies of extensions -----------------------------------------------------------------


def _body(body: bytes) -> list[object]:
    value, found = parse(body)
    if not is_list(value):
        raise ValueMalformed("an extension's body must be a list")
    if any(code == ExtensionCode.BLOB for code, _ in found):
        raise ValueMalformed("a reference to a blob can't stand inside another value")
    return value


def read_sequence(body: bytes) -> list[object]:
    """Read the raw items of a tuple or set.

    Raises:
        ValueMalformed: if the body is no list.
    """
    return _body(body)


def read_dataclass(body: bytes) -> tuple[str, dict[str, object]]:
    """Read a dataclass's class path and raw fields.

    Raises:
        ValueMalformed: if the body holds anything else.
    """
    parts = _body(body)
    if len(parts) != 2 or not isinstance(parts[0], str) or not is_dict(parts[1]):
        raise ValueMalformed("a dataclass's encoding must hold a class and its fields")
    return parts[0], require_names(parts[1])


def require_names(fields: dict[object, object]) -> dict[str, object]:
    """Give the same dict, as one whose keys are text.

    Raises:
        ValueMalformed: if one of its keys isn't.
    """
    if not is_named(fields):
        raise ValueMalformed("the names of encoded fields must be text")
    return fields


def read_enum(body: bytes) -> tuple[str, str]:
    """Read an Enum's class path and member name.

    Raises:
        ValueMalformed: if the body holds anything else.
    """
    parts = _body(body)
    if len(parts) != 2 or not isinstance(parts[0], str) or not isinstance(parts[1], str):
        raise ValueMalformed("an Enum's encoding must hold a class and a member")
    return parts[0], parts[1]


def read_array(body: bytes) -> tuple[str, list[int], bytes]:
    """Read an array's NumPy type, shape and bytes.

    Raises:
        ValueMalformed: if the body holds anything else, or the bytes don't fit type and shape.
    """
    parts = _body(body)
    if len(parts) != 3 or not isinstance(parts[0], str) or not isinstance(parts[2], bytes):
        raise ValueMalformed("an array's encoding must hold dtype, shape and bytes")
    shape = require_sizes(parts[1])
    require_layout(parts[0], shape, parts[2])
    return parts[0], shape, parts[2]


def read_scalar(body: bytes) -> tuple[str, bytes]:
    """Read a NumPy scalar's type and bytes.

    Raises:
        ValueMalformed: if the body holds anything else, or the bytes don't fit the type.
    """
    parts = _body(body)
    if len(parts) != 2 or not isinstance(parts[0], str) or not isinstance(parts[1], bytes):
        raise ValueMalformed("a NumPy scalar's encoding must hold dtype and bytes")
    require_layout(parts[0], [], parts[1])
    return parts[0], parts[1]


def read_reference(body: bytes) -> BlobReference:
    """Read the body of a BLOB extension.

    Raises:
        ValueMalformed: if it is none.
    """
    if len(body) != REFERENCE_BYTES:
        raise ValueMalformed(f"a reference to a blob must have {REFERENCE_BYTES} bytes")
    return BlobReference(body[:_DIGEST_BYTES].hex(), int.from_bytes(body[_DIGEST_BYTES:], "big"))


def write_reference(reference: BlobReference) -> bytes:
    """Make the body of a BLOB extension.

    Raises:
        ValueMalformed: if digest or size can't be those of a blob.
    """
    try:
        body = bytes.fromhex(reference.digest) + reference.size.to_bytes(8, "big")
    except (ValueError, OverflowError):
        body = b""
    if len(body) != REFERENCE_BYTES:
        raise ValueMalformed(f"blob {reference.digest!r} of {reference.size} bytes can't exist")
    return body


def is_plain_dtype(dtype: str) -> bool:
    """Tell whether a NumPy type's bytes are plain data (numbers, text, dates)."""
    return _DTYPE.fullmatch(dtype) is not None


def require_sizes(values: object) -> list[int]:
    """Give the same list, as one of sizes.

    Raises:
        ValueMalformed: if it is no list of integers that aren't negative.
    """
    sizes: list[int] = []
    for size in values if is_list(values) else [None]:
        if type(size) is not int or size < 0:
            raise ValueMalformed("sizes must be a list of whole numbers that aren't negative")
        sizes.append(size)
    return sizes


def require_layout(dtype: str, shape: list[int], content: bytes) -> None:
    """Check that bytes are as many as a NumPy type and shape need.

    Raises:
        ValueMalformed: if not, or the type isn't plain data.
    """
    match = _DTYPE.fullmatch(dtype)
    if match is None or len(shape) > _MOST_DIMENSIONS:
        raise ValueMalformed(
            f"NumPy dtype {dtype!r} in {len(shape)} dimensions is not among the types that are used"
        )
    item_bytes = 8 if match["size"] is None else int(match["size"])
    if match["kind"] == "U":
        item_bytes *= 4
    if prod(shape) * item_bytes != len(content):
        raise ValueMalformed(f"an array of dtype {dtype} and shape {shape} has other bytes")
