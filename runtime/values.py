"""The values codec: users' values to bytes and back, from a closed set of types.

MessagePack, plus one extension per type that it lacks. The decoder never imports and never runs a
constructor of a user's class; classes are resolved through a table that is passed in. Values over
64 KiB become references to blobs where a sink for them is given.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum, IntEnum
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from uuid import UUID

import msgpack
import msgspec

from sojourn.runtime.errors import ValueMalformed, ValueNotEncodable

BLOB_THRESHOLD = 64 * 1024
"""Encoded bytes above which a field, attribute or shared value becomes a blob."""

DEEPEST = 100
"""How deep extensions may nest in each other."""

_COMPLEX = struct.Struct("<dd")
_DELTA = struct.Struct("<iiI")


class ExtensionCode(IntEnum):
    """MessagePack extension types of this codec."""

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


class ClassTable(Protocol):
    """Where class paths in encoded values resolve."""

    def resolve(self, path: str) -> type | None:
        """Give the class of ``module:Qualname``, or None if it isn't one that may be used."""
        ...


class _EmptyClasses:
    def resolve(self, path: str) -> type | None:  # noqa: ARG002 - the protocol names it
        return None


EMPTY_CLASSES: ClassTable = _EmptyClasses()


class BlobReference(msgspec.Struct, frozen=True):
    """A value kept in a file of its own: sha256 (hex) and size in bytes of its encoding."""

    digest: str
    size: int


class BlobSink(Protocol):
    """Where large values go."""

    def put(self, data: bytes) -> BlobReference:
        """Keep the bytes durably and name them."""
        ...


class BlobSource(Protocol):
    """Where large values come from."""

    def get(self, digest: str) -> bytes:
        """Give the bytes of a digest."""
        ...


def class_path(cls: type) -> str:
    """Name a class as ``module:Qualname``."""
    return f"{cls.__module__}:{cls.__qualname__}"


def encode(value: object, *, where: str = "value", blobs: BlobSink | None = None) -> bytes:
    """Encode one value.

    Args:
        value: anything of the closed set.
        where: what the value is, for the error's sentence.
        blobs: takes encodings over ``BLOB_THRESHOLD`` bytes; None keeps them inline.

    Raises:
        ValueNotEncodable: names the place inside the value and its type.
    """
    data = _checked_pack(value, where)
    if blobs is not None and len(data) > BLOB_THRESHOLD:
        return _blob(data, blobs)
    return data


def encode_fields(
    fields: Mapping[str, object], *, where: str, blobs: BlobSink | None = None
) -> bytes:
    """Encode named values as one map; large ones become blobs one by one.

    Args:
        fields: names and values.
        where: what they belong to, for the error's sentence.
        blobs: takes values over ``BLOB_THRESHOLD`` bytes; None keeps them inline.

    Raises:
        ValueNotEncodable: names the field.
    """
    if type(fields) is not dict:
        fields = dict(fields)
    data = _checked_pack(fields, where)
    if blobs is None or len(data) <= BLOB_THRESHOLD:
        return data
    packer = msgpack.Packer(autoreset=False)
    packer.pack_map_header(len(fields))
    parts = [packer.bytes()]
    for name, value in fields.items():
        parts.append(_pack(name, 0))
        parts.append(encode(value, where=f"{where}[{name!r}]", blobs=blobs))
    return b"".join(parts)


def decode(
    data: bytes, classes: ClassTable = EMPTY_CLASSES, blobs: BlobSource | None = None
) -> object:
    """Decode one value.

    Args:
        data: as ``encode`` made it.
        classes: resolves dataclasses and Enums.
        blobs: gives the bytes of blobs.

    Raises:
        ValueMalformed: if the bytes are no such value, or name a class that isn't in the table.
    """
    return _unpack(data, partial(_revive, classes, blobs, 0))


def decode_fields(
    data: bytes, classes: ClassTable = EMPTY_CLASSES, blobs: BlobSource | None = None
) -> dict[str, object]:
    """Decode named values.

    Raises:
        ValueMalformed: if the bytes are no map with text keys.
    """
    value = decode(data, classes, blobs)
    if not isinstance(value, dict):
        raise ValueMalformed("encoded fields must be a map")
    fields: dict[str, object] = {}
    for name, item in value.items():  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(name, str):
            raise ValueMalformed("the names of encoded fields must be text")
        fields[name] = item
    return fields


def blob_references(data: bytes) -> list[BlobReference]:
    """Find the blobs that encoded bytes refer to.

    Raises:
        ValueMalformed: if the bytes are no value.
    """
    found: list[BlobReference] = []

    def collect(code: int, body: bytes) -> object:
        if code == ExtensionCode.BLOB:
            found.append(read_reference(body))
        return (code, body)

    _unpack(data, collect)
    return found


def read_reference(body: bytes) -> BlobReference:
    """Read the body of a BLOB extension.

    Raises:
        ValueMalformed: if it is none.
    """
    if len(body) != 40:
        raise ValueMalformed("a reference to a blob must have 40 bytes")
    return BlobReference(body[:32].hex(), int.from_bytes(body[32:], "big"))


def _blob(data: bytes, blobs: BlobSink) -> bytes:
    reference = blobs.put(data)
    body = bytes.fromhex(reference.digest) + reference.size.to_bytes(8, "big")
    return msgpack.packb(msgpack.ExtType(ExtensionCode.BLOB, body))


def digest_of(data: bytes) -> str:
    """Name bytes by their sha256 (hex)."""
    return sha256(data).hexdigest()


# --- encoding -----------------------------------------------------------------------------


class _Unsupported(Exception):
    """Inside the codec: a value that can't be encoded, before its place is known."""


def _checked_pack(value: object, where: str) -> bytes:
    try:
        return msgpack.packb(value, default=_DEFAULT, strict_types=True)
    except (_Unsupported, ValueError, TypeError, OverflowError, RecursionError) as error:
        place, culprit, reason = _locate(value, where)
        if culprit is None:
            raise ValueNotEncodable(f"{where} can't be encoded: {error}") from None
        raise ValueNotEncodable(f"{place} can't be encoded: {reason}") from None


def _pack(value: object, depth: int) -> bytes:
    if depth > DEEPEST:
        raise _Unsupported(f"it is nested more than {DEEPEST} levels deep")
    return msgpack.packb(value, default=partial(_default, depth), strict_types=True)


def _default(depth: int, value: object) -> object:
    kind = type(value)
    simple = _SIMPLE.get(kind)
    if simple is not None:
        code, encoder = simple
        return msgpack.ExtType(code, encoder(value))
    if kind is tuple:
        return msgpack.ExtType(ExtensionCode.TUPLE, _pack(list(_items(value)), depth + 1))
    if kind is set or kind is frozenset:
        code = ExtensionCode.SET if kind is set else ExtensionCode.FROZENSET
        packed = sorted(_pack(item, depth + 1) for item in _items(value))
        return msgpack.ExtType(code, b"".join(packed))
    if isinstance(value, Enum):
        _importable(kind)
        return msgpack.ExtType(
            ExtensionCode.ENUM, msgpack.packb([class_path(kind), value.name])
        )
    if isinstance(value, Path):
        return msgpack.ExtType(ExtensionCode.PATH, str(value).encode())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        _importable(kind)
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return msgpack.ExtType(
            ExtensionCode.DATACLASS, _pack([class_path(kind), fields], depth + 1)
        )
    numeric = _numpy_extension(value)
    if numeric is not None:
        return numeric
    raise _Unsupported(_advice(value))


def _items(value: object) -> Iterable[object]:
    assert isinstance(value, (tuple, set, frozenset))
    return value  # pyright: ignore[reportUnknownVariableType]


def _importable(cls: type) -> None:
    if cls.__module__ == "__main__":
        raise _Unsupported(
            f"class {cls.__qualname__} is defined in __main__: move it to a module that can be imported"
        )
    if "<locals>" in cls.__qualname__:
        raise _Unsupported(
            f"class {cls.__qualname__} is local to a function: define it at its module's top level"
        )


def _advice(value: object) -> str:
    kind = type(value)
    return (
        f"{kind.__module__}.{kind.__qualname__} is not among the types that can be stored "
        "(plain JSON-like values, datetime, Decimal, UUID, set, tuple, Path, Enum, dataclass, "
        "NumPy arrays): convert it, or keep it in a private or `transient` attribute"
    )


def _encode_datetime(value: object) -> bytes:
    assert isinstance(value, datetime)
    return (value.isoformat() + ("f" if value.fold else "")).encode()


def _encode_date(value: object) -> bytes:
    assert isinstance(value, date)
    return value.isoformat().encode()


def _encode_delta(value: object) -> bytes:
    assert isinstance(value, timedelta)
    return _DELTA.pack(value.days, value.seconds, value.microseconds)


def _encode_uuid(value: object) -> bytes:
    assert isinstance(value, UUID)
    return value.bytes


def _encode_complex(value: object) -> bytes:
    assert isinstance(value, complex)
    return _COMPLEX.pack(value.real, value.imag)


def _encode_integer(value: object) -> bytes:
    assert isinstance(value, int)
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _encode_text(value: object) -> bytes:
    return str(value).encode()


_SIMPLE: dict[type, tuple[ExtensionCode, Callable[[object], bytes]]] = {
    datetime: (ExtensionCode.DATETIME, _encode_datetime),
    date: (ExtensionCode.DATE, _encode_date),
    timedelta: (ExtensionCode.TIMEDELTA, _encode_delta),
    Decimal: (ExtensionCode.DECIMAL, _encode_text),
    UUID: (ExtensionCode.UUID, _encode_uuid),
    complex: (ExtensionCode.COMPLEX, _encode_complex),
    int: (ExtensionCode.INTEGER, _encode_integer),
}

_DEFAULT = partial(_default, 0)


def _numpy_extension(value: object) -> object | None:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if type(value) is numpy.ndarray:
        array = numpy.ascontiguousarray(value).reshape(value.shape)
        _numpy_kind(array.dtype)
        body = msgpack.packb([array.dtype.str, list(array.shape), array.tobytes()])
        return msgpack.ExtType(ExtensionCode.ARRAY, body)
    if isinstance(value, numpy.generic):
        _numpy_kind(value.dtype)
        body = msgpack.packb([value.dtype.str, value.tobytes()])
        return msgpack.ExtType(ExtensionCode.SCALAR, body)
    return None


def _numpy_kind(dtype: object) -> None:
    if getattr(dtype, "kind", "O") in "OV":
        raise _Unsupported(f"NumPy data of dtype {dtype} can't be stored: use plain numbers or text")


def _locate(value: object, where: str, depth: int = 0) -> tuple[str, object | None, str]:
    """Find the innermost part that can't be encoded; slow, for an error's sentence only."""
    parts: list[tuple[str, object]] = []
    if depth > DEEPEST:
        return where, value, f"it is nested more than {DEEPEST} levels deep"
    if isinstance(value, dict):
        for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
            parts.append((f"the key {key!r} of {where}", key))  # pyright: ignore[reportUnknownArgumentType]
            parts.append((f"{where}[{key!r}]", item))  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, (list, tuple)):
        parts = [
            (f"{where}[{place}]", item)
            for place, item in enumerate(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        ]
    elif isinstance(value, (set, frozenset)):
        parts = [(f"an element of {where}", item) for item in _items(value)]  # pyright: ignore[reportUnknownArgumentType]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = [
            (f"{where}.{field.name}", getattr(value, field.name))
            for field in dataclasses.fields(value)
        ]
    for place, part in parts:
        found = _locate(part, place, depth + 1)
        if found[1] is not None:
            return found
    try:
        _pack(value, 0)
    except _Unsupported as error:
        return where, value if value is not None else where, str(error)
    except UnicodeEncodeError:
        return where, where, "the text contains a lone surrogate: it is no valid Unicode"
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        return where, where, str(error)
    return where, None, ""


# --- decoding -----------------------------------------------------------------------------


def _unpack(data: bytes, hook: Callable[[int, bytes], object]) -> object:
    try:
        value: object = msgpack.unpackb(data, ext_hook=hook, strict_map_key=False)
    except ValueMalformed:
        raise
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ValueMalformed(f"the bytes are no encoded value: {error}") from None
    if b"\xff" in data and _has_timestamp(value, 0):
        raise ValueMalformed("MessagePack's own timestamps are not among the types that are used")
    return value


def _has_timestamp(value: object, depth: int) -> bool:
    if isinstance(value, msgpack.Timestamp):
        return True
    if depth > 600:
        return False
    if isinstance(value, dict):
        return any(
            _has_timestamp(key, depth + 1) or _has_timestamp(item, depth + 1)  # pyright: ignore[reportUnknownArgumentType]
            for key, item in value.items()  # pyright: ignore[reportUnknownVariableType]
        )
    if isinstance(value, list):
        return any(_has_timestamp(item, depth + 1) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return False


def _revive(
    classes: ClassTable, blobs: BlobSource | None, depth: int, code: int, body: bytes
) -> object:
    if depth > DEEPEST:
        raise ValueMalformed(f"the value is nested more than {DEEPEST} levels deep")
    reviver = _REVIVERS.get(code)
    try:
        if reviver is not None:
            return reviver(body)
        if code == ExtensionCode.BLOB:
            return _revive_blob(classes, blobs, depth, body)
        nested = partial(_revive, classes, blobs, depth + 1)
        if code == ExtensionCode.TUPLE:
            return tuple(_list(body, nested))
        if code == ExtensionCode.SET:
            return set(_sequence(body, nested))
        if code == ExtensionCode.FROZENSET:
            return frozenset(_sequence(body, nested))
        if code == ExtensionCode.ENUM:
            return _revive_enum(classes, body)
        if code == ExtensionCode.DATACLASS:
            return _revive_dataclass(classes, _list(body, nested))
    except (ValueError, TypeError, OverflowError, InvalidOperation, struct.error) as error:
        raise ValueMalformed(f"extension {code} doesn't decode: {error}") from None
    raise ValueMalformed(f"extension {code} is not among the types that are used")


def _list(body: bytes, hook: Callable[[int, bytes], object]) -> list[object]:
    value = _unpack(body, hook)
    if not isinstance(value, list):
        raise ValueMalformed("an extension's body must be a list")
    return value  # pyright: ignore[reportUnknownVariableType]


def _sequence(body: bytes, hook: Callable[[int, bytes], object]) -> list[object]:
    unpacker = msgpack.Unpacker(ext_hook=hook, strict_map_key=False, max_buffer_size=len(body) or 1)
    unpacker.feed(body)
    items: list[object] = []
    consumed = 0
    for item in unpacker:
        items.append(item)
        consumed = unpacker.tell()
    if consumed != len(body):
        raise ValueMalformed("a set's encoding is cut off")
    return items


def _revive_blob(
    classes: ClassTable, blobs: BlobSource | None, depth: int, body: bytes
) -> object:
    reference = read_reference(body)
    if blobs is None:
        raise ValueMalformed(f"the value is kept in blob {reference.digest}, which isn't at hand")
    return _unpack(blobs.get(reference.digest), partial(_revive, classes, blobs, depth + 1))


def _revive_enum(classes: ClassTable, body: bytes) -> object:
    parts = _list(body, _no_extension)
    if len(parts) != 2 or not isinstance(parts[0], str) or not isinstance(parts[1], str):
        raise ValueMalformed("an Enum's encoding must hold a class and a member")
    cls = classes.resolve(parts[0])
    if cls is None or not issubclass(cls, Enum):
        raise ValueMalformed(
            f"{parts[0]} is no Enum that the flow's modules have loaded: import it there"
        )
    try:
        return cls[parts[1]]
    except KeyError:
        raise ValueMalformed(f"{parts[0]} has no member {parts[1]!r}") from None


def _no_extension(code: int, body: bytes) -> object:
    raise ValueMalformed(f"extension {code} ({len(body)} bytes) can't stand here")


def _revive_dataclass(classes: ClassTable, parts: list[object]) -> object:
    if len(parts) != 2 or not isinstance(parts[0], str) or not isinstance(parts[1], dict):
        raise ValueMalformed("a dataclass's encoding must hold a class and its fields")
    path: str = parts[0]
    stored: dict[object, object] = parts[1]  # pyright: ignore[reportUnknownVariableType]
    cls = classes.resolve(path)
    if cls is None or not dataclasses.is_dataclass(cls):
        raise ValueMalformed(
            f"{path} is no dataclass that the flow's modules have loaded: import it there"
        )
    value = object.__new__(cls)
    for field in dataclasses.fields(cls):
        if field.name in stored:
            item = stored.pop(field.name)
        elif field.default is not dataclasses.MISSING:
            item = field.default
        elif field.default_factory is not dataclasses.MISSING:
            item = field.default_factory()
        else:
            raise ValueMalformed(f"the stored {path} has no field {field.name!r}")
        object.__setattr__(value, field.name, item)
    if stored:
        raise ValueMalformed(f"{path} has no field {next(iter(stored))!r} any more")
    return value


def _revive_datetime(body: bytes) -> object:
    text = body.decode()
    fold = text.endswith("f")
    value = datetime.fromisoformat(text[:-1] if fold else text)
    return value.replace(fold=1) if fold else value


def _revive_delta(body: bytes) -> object:
    days, seconds, microseconds = _DELTA.unpack(body)
    return timedelta(days, seconds, microseconds)


def _revive_complex(body: bytes) -> object:
    return complex(*_COMPLEX.unpack(body))


def _numpy() -> object:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise ValueMalformed("the value is a NumPy array, and the flow's modules don't import numpy")
    return numpy


def _revive_array(body: bytes) -> object:
    from_buffer = getattr(_numpy(), "frombuffer")  # noqa: B009 - numpy is optional and untyped here
    parts = _list(body, _no_extension)
    if len(parts) != 3 or not isinstance(parts[2], bytes) or not isinstance(parts[1], list):
        raise ValueMalformed("an array's encoding must hold dtype, shape and bytes")
    if not isinstance(parts[0], str) or not all(
        isinstance(size, int) and size >= 0 for size in parts[1]  # pyright: ignore[reportUnknownVariableType]
    ):
        raise ValueMalformed("an array's shape must be numbers")
    return from_buffer(parts[2], dtype=_dtype(parts[0])).reshape(parts[1]).copy()


def _revive_scalar(body: bytes) -> object:
    from_buffer = getattr(_numpy(), "frombuffer")  # noqa: B009 - numpy is optional and untyped here
    parts = _list(body, _no_extension)
    if len(parts) != 2 or not isinstance(parts[0], str) or not isinstance(parts[1], bytes):
        raise ValueMalformed("a NumPy scalar's encoding must hold dtype and bytes")
    values = from_buffer(parts[1], dtype=_dtype(parts[0]))
    if len(values) != 1:
        raise ValueMalformed("a NumPy scalar's encoding must hold one number")
    return values[0]


def _dtype(name: str) -> str:
    if "O" in name or "V" in name or "," in name:
        raise ValueMalformed(f"NumPy dtype {name!r} is not among the types that are used")
    return name


def _revive_date(body: bytes) -> object:
    return date.fromisoformat(body.decode())


def _revive_decimal(body: bytes) -> object:
    return Decimal(body.decode())


def _revive_uuid(body: bytes) -> object:
    return UUID(bytes=body)


def _revive_path(body: bytes) -> object:
    return Path(body.decode())


def _revive_integer(body: bytes) -> object:
    return int.from_bytes(body, "big", signed=True)


_REVIVERS: dict[int, Callable[[bytes], object]] = {
    ExtensionCode.DATETIME: _revive_datetime,
    ExtensionCode.DATE: _revive_date,
    ExtensionCode.TIMEDELTA: _revive_delta,
    ExtensionCode.DECIMAL: _revive_decimal,
    ExtensionCode.UUID: _revive_uuid,
    ExtensionCode.COMPLEX: _revive_complex,
    ExtensionCode.PATH: _revive_path,
    ExtensionCode.ARRAY: _revive_array,
    ExtensionCode.SCALAR: _revive_scalar,
    ExtensionCode.INTEGER: _revive_integer,
}

EMPTY_FIELDS = encode_fields({}, where="nothing")
