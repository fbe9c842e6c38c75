"""Encoded values as JSON and back, from the bytes alone: no class is needed and none is looked up.

A plain value is itself; any other is ``{"$sojourn": "<type>", "value": …}``. ``from_json`` gives
back the very bytes that ``to_json`` was given.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from uuid import UUID

import msgpack

from sojourn.runtime import values
from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.values import ExtensionCode, read_reference

MARK = "$sojourn"

_TEXTS = {
    ExtensionCode.DATETIME: "datetime",
    ExtensionCode.DATE: "date",
    ExtensionCode.DECIMAL: "decimal",
    ExtensionCode.PATH: "path",
}
_SEQUENCES = {
    ExtensionCode.TUPLE: "tuple",
    ExtensionCode.SET: "set",
    ExtensionCode.FROZENSET: "frozenset",
}
_NAMED = {name: code for code, name in (_TEXTS | _SEQUENCES).items()}


class _Made:
    """A finished piece of JSON among values that still have to be turned into it."""

    __slots__ = ("json",)

    def __init__(self, json: object) -> None:
        self.json = json


def to_json(data: bytes) -> object:
    """Give the JSON form of an encoded value.

    Args:
        data: as ``values.encode`` made it.

    Raises:
        ValueMalformed: if the bytes are no encoded value.
    """
    try:
        return _plain(values._unpack(data, _extension))  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    except RecursionError:
        raise ValueMalformed("the value is nested too deep") from None


def fields_to_json(data: bytes) -> dict[str, object]:
    """Give the JSON form of encoded fields, one by one.

    Raises:
        ValueMalformed: if the bytes are no map with text keys.
    """
    raw = values._unpack(data, _extension)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    if not isinstance(raw, dict):
        raise ValueMalformed("encoded fields must be a map")
    fields: dict[str, object] = {}
    for name, item in raw.items():  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(name, str):
            raise ValueMalformed("the names of encoded fields must be text")
        fields[name] = _plain(item)  # pyright: ignore[reportUnknownArgumentType]
    return fields


def from_json(obj: object, *, where: str) -> bytes:
    """Encode what ``to_json`` gave.

    Args:
        obj: the JSON form.
        where: what it is, for the error's sentence.

    Raises:
        ValueMalformed: if it is no JSON form of a value.
    """
    try:
        return _pack(_parse(obj))
    except ValueMalformed as error:
        raise ValueMalformed(f"{where}: {error.message}") from None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, binascii.Error) as error:
        raise ValueMalformed(f"{where} is no value: {error}") from None


def fields_from_json(obj: object, *, where: str) -> bytes:
    """Encode named values from their JSON forms.

    Raises:
        ValueMalformed: if ``obj`` is no JSON object, or one of its values no JSON form of a value.
    """
    if not isinstance(obj, dict):
        raise ValueMalformed(f"{where} must be a JSON object")
    header = msgpack.Packer(autoreset=False)
    header.pack_map_header(len(obj))  # pyright: ignore[reportUnknownArgumentType]
    parts = [header.bytes()]
    for name, item in obj.items():  # pyright: ignore[reportUnknownVariableType]
        parts.append(msgpack.packb(name))
        parts.append(from_json(item, where=f"{where}[{name!r}]"))  # pyright: ignore[reportUnknownArgumentType]
    return b"".join(parts)


def _mark(kind: str, value: object) -> dict[str, object]:
    return {MARK: kind, "value": value}


def _plain(value: object) -> object:
    if isinstance(value, _Made):
        return value.json
    if isinstance(value, bytes):
        return _mark("bytes", base64.b64encode(value).decode())
    if isinstance(value, float) and not math.isfinite(value):
        return _mark("float", repr(value))
    if isinstance(value, list):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, dict):
        items: dict[object, object] = value  # pyright: ignore[reportUnknownVariableType]
        if MARK in items or not all(isinstance(key, str) for key in items):
            return _mark("dict", [[_plain(key), _plain(item)] for key, item in items.items()])
        return {str(key): _plain(item) for key, item in items.items()}
    return value


def _extension(code: int, body: bytes) -> object:
    writer = _WRITERS.get(code)
    if writer is None:
        raise ValueMalformed(f"extension {code} is not among the types that are used")
    try:
        return _Made(writer(body))
    except (ValueError, TypeError, OverflowError, IndexError) as error:
        raise ValueMalformed(f"extension {code} doesn't decode: {error}") from None


def _text_writer(kind: str) -> Callable[[bytes], object]:
    return lambda body: _mark(kind, body.decode())


def _write_tuple(body: bytes) -> object:
    return _mark("tuple", to_json(body))


def _sequence_writer(kind: str) -> Callable[[bytes], object]:
    def write(body: bytes) -> object:
        items = values._sequence(body, _extension)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        return _mark(kind, [_plain(item) for item in items])

    return write


def _write_delta(body: bytes) -> object:
    days, seconds, microseconds = values._DELTA.unpack(body)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    return _mark("timedelta", [days, seconds, microseconds])


def _write_complex(body: bytes) -> object:
    real, imaginary = values._COMPLEX.unpack(body)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    return _mark("complex", [_plain(real), _plain(imaginary)])


def _write_enum(body: bytes) -> object:
    path, member = _parts(body, 2)
    return {MARK: "enum", "class": path, "value": member}


def _write_dataclass(body: bytes) -> object:
    path, fields = _parts(body, 2)
    return {MARK: "dataclass", "class": path, "value": fields}


def _write_array(body: bytes) -> object:
    dtype, shape, content = _parts(body, 3)
    return {MARK: "array", "dtype": dtype, "shape": shape, "value": _base64_of(content)}


def _write_scalar(body: bytes) -> object:
    dtype, content = _parts(body, 2)
    return {MARK: "scalar", "dtype": dtype, "value": _base64_of(content)}


def _parts(body: bytes, count: int) -> list[object]:
    parts = to_json(body)
    if not isinstance(parts, list) or len(parts) != count:  # pyright: ignore[reportUnknownArgumentType]
        raise ValueMalformed(f"an extension's body must be a list of {count}")
    return parts  # pyright: ignore[reportUnknownVariableType]


def _base64_of(form: object) -> object:
    if not isinstance(form, dict) or form.get(MARK) != "bytes":  # pyright: ignore[reportUnknownMemberType]
        raise ValueMalformed("an array's content must be bytes")
    return form["value"]  # pyright: ignore[reportUnknownVariableType]


def _write_integer(body: bytes) -> object:
    return int.from_bytes(body, "big", signed=True)


def _write_uuid(body: bytes) -> object:
    return _mark("uuid", str(UUID(bytes=body)))


def _write_blob(body: bytes) -> object:
    reference = read_reference(body)
    return {MARK: "blob", "digest": reference.digest, "size": reference.size}


_WRITERS: dict[int, Callable[[bytes], object]] = {
    **{code: _text_writer(name) for code, name in _TEXTS.items()},
    ExtensionCode.TUPLE: _write_tuple,
    ExtensionCode.SET: _sequence_writer("set"),
    ExtensionCode.FROZENSET: _sequence_writer("frozenset"),
    ExtensionCode.TIMEDELTA: _write_delta,
    ExtensionCode.UUID: _write_uuid,
    ExtensionCode.COMPLEX: _write_complex,
    ExtensionCode.ENUM: _write_enum,
    ExtensionCode.DATACLASS: _write_dataclass,
    ExtensionCode.ARRAY: _write_array,
    ExtensionCode.SCALAR: _write_scalar,
    ExtensionCode.INTEGER: _write_integer,
    ExtensionCode.BLOB: _write_blob,
}


# --- from JSON ----------------------------------------------------------------------------


def _pack(value: object) -> bytes:
    return msgpack.packb(value, strict_types=True)


def _parse(obj: object) -> object:
    if obj is None or isinstance(obj, (bool, str, float)):
        return obj
    if isinstance(obj, int):
        if -(2**63) <= obj < 2**64:
            return obj
        body = obj.to_bytes(obj.bit_length() // 8 + 1, "big", signed=True)
        return msgpack.ExtType(ExtensionCode.INTEGER, body)
    if isinstance(obj, list):
        return [_parse(item) for item in obj]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(obj, dict):
        form: dict[str, object] = obj  # pyright: ignore[reportUnknownVariableType]
        if MARK in form:
            return _parse_marked(form)
        for key in form:
            if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueMalformed("the keys of a JSON object must be text")
        return {key: _parse(item) for key, item in form.items()}
    raise ValueMalformed(f"{type(obj).__name__} is no JSON")


def _parse_marked(form: dict[str, object]) -> object:
    kind = form[MARK]
    if not isinstance(kind, str):
        raise ValueMalformed(f"{MARK!r} must name a type")
    if kind in _NAMED:
        return _parse_named(_NAMED[kind], form["value"])
    reader = _READERS.get(kind)
    if reader is None:
        raise ValueMalformed(f"{kind!r} is no type of a value")
    return reader(form)


def _parse_named(code: ExtensionCode, value: object) -> object:
    if code in _TEXTS:
        if not isinstance(value, str):
            raise ValueMalformed(f"a {_TEXTS[code]} must be text")
        if code is ExtensionCode.DATETIME:
            datetime.fromisoformat(value.removesuffix("f"))
        elif code is ExtensionCode.DATE:
            date.fromisoformat(value)
        return msgpack.ExtType(code, value.encode())
    if not isinstance(value, list):
        raise ValueMalformed(f"a {_SEQUENCES[code]} must be a list")
    items = [_parse(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if code is ExtensionCode.TUPLE:
        return msgpack.ExtType(code, _pack(items))
    return msgpack.ExtType(code, b"".join(sorted(_pack(item) for item in items)))


def _text(form: dict[str, object], name: str = "value") -> str:
    value = form[name]
    if not isinstance(value, str):
        raise ValueMalformed(f"{name!r} must be text")
    return value


def _base64(form: dict[str, object]) -> bytes:
    return base64.b64decode(_text(form), validate=True)


def _read_dict(form: dict[str, object]) -> object:
    pairs = form["value"]
    if not isinstance(pairs, list):
        raise ValueMalformed("a dict must be a list of pairs")
    found: dict[object, object] = {}
    for pair in pairs:  # pyright: ignore[reportUnknownVariableType]
        key, item = pair  # pyright: ignore[reportUnknownVariableType]
        found[_parse(key)] = _parse(item)
    return found


def _read_float(form: dict[str, object]) -> object:
    text = _text(form)
    if text not in ("nan", "inf", "-inf"):
        raise ValueMalformed("a marked float must be nan, inf or -inf")
    return float(text)


def _read_delta(form: dict[str, object]) -> object:
    days, seconds, microseconds = _numbers(form, 3)
    delta = timedelta(days, seconds, microseconds)
    body = values._DELTA.pack(delta.days, delta.seconds, delta.microseconds)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    return msgpack.ExtType(ExtensionCode.TIMEDELTA, body)


def _read_complex(form: dict[str, object]) -> object:
    parts = form["value"]
    if not isinstance(parts, list) or len(parts) != 2:  # pyright: ignore[reportUnknownArgumentType]
        raise ValueMalformed("a complex must be two numbers")
    real, imaginary = (_parse(part) for part in parts)  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(real, float) or not isinstance(imaginary, float):
        raise ValueMalformed("a complex must be two floats")
    return msgpack.ExtType(
        ExtensionCode.COMPLEX,
        values._COMPLEX.pack(real, imaginary),  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    )


def _numbers(form: dict[str, object], count: int) -> list[int]:
    parts = form["value"]
    if not isinstance(parts, list) or len(parts) != count:  # pyright: ignore[reportUnknownArgumentType]
        raise ValueMalformed(f"the value must be {count} numbers")
    found: list[int] = []
    for part in parts:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(part, int):
            raise ValueMalformed(f"the value must be {count} numbers")
        found.append(part)
    return found


def _read_enum(form: dict[str, object]) -> object:
    body = _pack([_text(form, "class"), _text(form)])
    return msgpack.ExtType(ExtensionCode.ENUM, body)


def _read_dataclass(form: dict[str, object]) -> object:
    body = _pack([_text(form, "class"), _parse(form["value"])])
    return msgpack.ExtType(ExtensionCode.DATACLASS, body)


def _read_array(form: dict[str, object]) -> object:
    body = _pack([_text(form, "dtype"), _parse(form["shape"]), _base64(form)])
    return msgpack.ExtType(ExtensionCode.ARRAY, body)


def _read_scalar(form: dict[str, object]) -> object:
    return msgpack.ExtType(ExtensionCode.SCALAR, _pack([_text(form, "dtype"), _base64(form)]))


def _read_uuid(form: dict[str, object]) -> object:
    return msgpack.ExtType(ExtensionCode.UUID, UUID(_text(form)).bytes)


def _read_bytes(form: dict[str, object]) -> object:
    return _base64(form)


def _read_blob(form: dict[str, object]) -> object:
    size = form["size"]
    digest = bytes.fromhex(_text(form, "digest"))
    if not isinstance(size, int) or len(digest) != 32:
        raise ValueMalformed("a blob must have a digest and a size")
    return msgpack.ExtType(ExtensionCode.BLOB, digest + size.to_bytes(8, "big"))


_READERS: dict[str, Callable[[dict[str, object]], object]] = {
    "bytes": _read_bytes,
    "dict": _read_dict,
    "float": _read_float,
    "timedelta": _read_delta,
    "complex": _read_complex,
    "enum": _read_enum,
    "dataclass": _read_dataclass,
    "array": _read_array,
    "scalar": _read_scalar,
    "uuid": _read_uuid,
    "blob": _read_blob,
}
