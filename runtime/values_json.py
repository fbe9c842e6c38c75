"""Encoded values as JSON and back, from the bytes alone: no class is needed and none is looked up.

A plain value is itself; any other is ``{"$sojourn": "<type>", "value": …}``. ``from_json`` gives
back the very bytes that ``to_json`` was given, if ``values.encode`` made them.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import msgpack

from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.values_leaves import (
    complex_body,
    delta_body,
    fits_messagepack,
    integer_body,
    read_leaf,
)
from sojourn.runtime.values_raw import (
    DEEPEST,
    SEQUENCES,
    BlobReference,
    ExtensionCode,
    is_container,
    is_dict,
    is_extension,
    is_list,
    parse,
    read_array,
    read_dataclass,
    read_enum,
    read_reference,
    read_scalar,
    read_sequence,
    require_layout,
    require_names,
    require_sizes,
    write_reference,
)

MARK = "$sojourn"
"""The key that sets a marked value apart from a plain dict."""

_DOUBLE = struct.Struct(">d")
_NAN = _DOUBLE.pack(math.nan)

_LONGEST_BITS = 2048
"""Up to here integers are JSON's own; Python refuses to print much longer ones in decimal."""

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
_ITSELF = frozenset({type(None), bool, int, str})
"""What is the same in JSON."""

_TEXT_CODES = {name: code for code, name in _TEXTS.items()}
_SEQUENCE_CODES = {name: code for code, name in _SEQUENCES.items()}


def to_json(data: bytes) -> object:
    """Give the JSON form of an encoded value.

    Args:
        data: as ``values.encode`` made it.

    Raises:
        ValueMalformed: if the bytes are no encoded value.
    """
    return _guarded(parse(data)[0])


def fields_to_json(data: bytes) -> dict[str, object]:
    """Give the JSON form of encoded fields, one by one.

    Raises:
        ValueMalformed: if the bytes are no map with text keys.
    """
    raw = parse(data)[0]
    if not is_dict(raw):
        raise ValueMalformed("encoded fields must be a map")
    return {name: _guarded(item, 1) for name, item in require_names(raw).items()}


def displayed(data: bytes) -> object:
    """Give the JSON form of what a store holds: bytes that are no encoded value are marked as such.

    A job may hold some that came with it, or that its own process made; a document of it is made all the
    same. Such a mark is refused by ``from_json``.
    """
    try:
        return to_json(data)
    except ValueMalformed:
        return _malformed(data)


def fields_displayed(data: bytes) -> dict[str, object]:
    """The same for encoded fields."""
    try:
        return fields_to_json(data)
    except ValueMalformed:
        return _malformed(data)


def from_json(obj: object, *, where: str) -> bytes:
    """Encode what ``to_json`` gave.

    Args:
        obj: the JSON form.
        where: what it is, for the error's sentence.

    Raises:
        ValueMalformed: if it is no JSON form of a value.
    """
    return _encoded(obj, where, 0)


def fields_from_json(obj: object, *, where: str) -> bytes:
    """Encode named values from their JSON forms.

    Raises:
        ValueMalformed: if ``obj`` is no JSON object, or one of its values no JSON form of a value.
    """
    if not is_dict(obj):
        raise ValueMalformed(f"{where} must be a JSON object")
    header = msgpack.Packer(autoreset=False)
    header.pack_map_header(len(obj))
    parts: list[bytes] = [header.bytes()]
    for name, item in require_names(obj).items():
        parts.append(_encoded(name, where, 1))
        parts.append(_encoded(item, f"{where}[{name!r}]", 1))
    return b"".join(parts)


# --- to JSON ------------------------------------------------------------------------------


def _guarded(raw: object, depth: int = 0) -> object:
    try:
        return _plain(raw, depth)
    except RecursionError:
        raise ValueMalformed("the value is nested too deep for what is left of the stack") from None


def _malformed(data: bytes) -> dict[str, object]:
    return _mark("malformed", base64.b64encode(data).decode())


def _mark(kind: str, value: object) -> dict[str, object]:
    return {MARK: kind, "value": value}


def _plain(raw: object, depth: int) -> object:
    if type(raw) in _ITSELF:
        return raw
    if depth >= DEEPEST and is_container(raw):
        raise ValueMalformed(f"the value is nested more than {DEEPEST} levels deep")
    if is_extension(raw):
        return _extension(raw[0], raw[1], depth)
    if is_list(raw):
        return [_plain(item, depth + 1) for item in raw]
    if is_dict(raw):
        return _dict(raw, depth)
    if isinstance(raw, bytes):
        return _mark("bytes", base64.b64encode(raw).decode())
    if isinstance(raw, float):
        return raw if math.isfinite(raw) else _mark("float", _float_text(raw))
    if isinstance(raw, msgpack.Timestamp):
        raise ValueMalformed("MessagePack's own timestamps are not among the types that are used")
    return raw


def _dict(raw: dict[object, object], depth: int) -> object:
    below = depth + 1
    plain: dict[str, object] = {}
    for key, item in raw.items():
        if not isinstance(key, str) or key == MARK:
            pairs = [[_plain(key, below), _plain(item, below)] for key, item in raw.items()]
            return _mark("dict", pairs)
        plain[key] = _plain(item, below)
    return plain


def _float_text(value: float) -> str:
    bits = _DOUBLE.pack(value)
    # Other bits than usual are a NaN's payload and sign: they are part of the bytes.
    return f"nan:{bits.hex()}" if math.isnan(value) and bits != _NAN else repr(value)


def _extension(code: int, body: bytes, depth: int) -> object:
    below = depth + 1
    if code in SEQUENCES:
        items = [_plain(item, below) for item in read_sequence(body)]
        return _mark(_SEQUENCES[ExtensionCode(code)], items)
    if code == ExtensionCode.DATACLASS:
        path, fields = read_dataclass(body)
        value = {name: _plain(item, below) for name, item in fields.items()}
        return {MARK: "dataclass", "class": path, "value": value}
    if code == ExtensionCode.ENUM:
        path, member = read_enum(body)
        return {MARK: "enum", "class": path, "value": member}
    if code == ExtensionCode.ARRAY:
        dtype, shape, content = read_array(body)
        text = base64.b64encode(content).decode()
        return {MARK: "array", "dtype": dtype, "shape": shape, "value": text}
    if code == ExtensionCode.SCALAR:
        dtype, content = read_scalar(body)
        return {MARK: "scalar", "dtype": dtype, "value": base64.b64encode(content).decode()}
    if code == ExtensionCode.BLOB:
        reference = read_reference(body)
        return {MARK: "blob", "digest": reference.digest, "size": reference.size}
    return _leaf(code, body)


def _leaf(code: int, body: bytes) -> object:
    value = read_leaf(code, body)
    if isinstance(value, int):
        return value if value.bit_length() <= _LONGEST_BITS else _mark("int", hex(value))
    if isinstance(value, timedelta):
        return _mark("timedelta", [value.days, value.seconds, value.microseconds])
    if isinstance(value, complex):
        return _mark("complex", [_plain(value.real, 0), _plain(value.imag, 0)])
    if isinstance(value, UUID):
        return _mark("uuid", str(value))
    return _mark(_TEXTS[ExtensionCode(code)], body.decode())


# --- from JSON ----------------------------------------------------------------------------


def _encoded(obj: object, where: str, depth: int) -> bytes:
    try:
        data: bytes = msgpack.packb(_parse(obj, depth))
        return data
    except ValueMalformed as error:
        raise ValueMalformed(f"{where}: {error.message}") from None
    except (ValueError, TypeError, ArithmeticError, struct.error, RecursionError) as error:
        raise ValueMalformed(f"{where} is no value: {error}") from None


def _parse(obj: object, depth: int) -> object:
    if obj is None or isinstance(obj, (bool, str, float)):
        return obj
    if isinstance(obj, int):
        if fits_messagepack(obj):
            return obj
        return msgpack.ExtType(ExtensionCode.INTEGER, integer_body(obj))
    if is_list(obj):
        _require_depth(depth)
        return [_parse(item, depth + 1) for item in obj]
    if is_dict(obj):
        form = require_names(obj)
        if MARK in form:
            return _parse_marked(form, depth)
        _require_depth(depth)
        return {key: _parse(item, depth + 1) for key, item in form.items()}
    raise ValueMalformed(f"{type(obj).__name__} is no JSON")


def _require_depth(depth: int) -> None:
    if depth >= DEEPEST:
        raise ValueMalformed(f"the value is nested more than {DEEPEST} levels deep")


def _parse_marked(form: dict[str, object], depth: int) -> object:
    kind = form[MARK]
    if not isinstance(kind, str):
        raise ValueMalformed(f"{MARK!r} must name a type")
    reader = _READERS.get(kind)
    if reader is None:
        raise ValueMalformed(f"{kind!r} is no type of a value")
    keys = _KEYS.get(kind, _USUAL_KEYS)
    if form.keys() != keys:
        raise ValueMalformed(f"a marked {kind} must have the keys {', '.join(sorted(keys))}")
    return reader(form, depth)


def _text(form: dict[str, object], name: str = "value") -> str:
    value = form[name]
    if not isinstance(value, str):
        raise ValueMalformed(f"{name!r} of a marked {form[MARK]} must be text")
    return value


def _list(form: dict[str, object], count: int | None = None) -> list[object]:
    value = form["value"]
    if not is_list(value) or (count is not None and len(value) != count):
        size = "" if count is None else f" of {count}"
        raise ValueMalformed(f"a marked {form[MARK]} must hold a list{size}")
    return value


def _checked(code: ExtensionCode, body: bytes) -> object:
    read_leaf(code, body)
    return msgpack.ExtType(code, body)


def _read_text(form: dict[str, object], _: int) -> object:
    return _checked(_TEXT_CODES[_text(form, MARK)], _text(form).encode())


def _read_sequence(form: dict[str, object], depth: int) -> object:
    _require_depth(depth)
    code = _SEQUENCE_CODES[_text(form, MARK)]
    packed: list[bytes] = [msgpack.packb(_parse(item, depth + 1)) for item in _list(form)]
    if code is not ExtensionCode.TUPLE:
        packed.sort()
    header = msgpack.Packer(autoreset=False)
    header.pack_array_header(len(packed))
    return msgpack.ExtType(code, b"".join([header.bytes(), *packed]))


def _read_dict(form: dict[str, object], depth: int) -> object:
    _require_depth(depth)
    found: dict[object, object] = {}
    for pair in _list(form):
        if not is_list(pair) or len(pair) != 2:
            raise ValueMalformed("a marked dict must hold a list of pairs")
        found[_parse(pair[0], depth + 1)] = _parse(pair[1], depth + 1)
    return found


def _base64(form: dict[str, object], _: int = 0) -> bytes:
    return base64.b64decode(_text(form), validate=True)


def _read_float(form: dict[str, object], _: int) -> object:
    text = _text(form)
    if text in ("nan", "inf", "-inf"):
        return float(text)
    value: float = _DOUBLE.unpack(bytes.fromhex(text.removeprefix("nan:")))[0]
    if not text.startswith("nan:") or not math.isnan(value):
        raise ValueMalformed("a marked float must be nan, inf or -inf")
    return value


def _read_int(form: dict[str, object], _: int) -> object:
    return _checked(ExtensionCode.INTEGER, integer_body(int(_text(form), 16)))


def _read_delta(form: dict[str, object], _: int) -> object:
    numbers = [part for part in _list(form, 3) if type(part) is int]
    if len(numbers) != 3:
        raise ValueMalformed("a marked timedelta must hold days, seconds and microseconds")
    return _checked(ExtensionCode.TIMEDELTA, delta_body(timedelta(*numbers)))


def _read_complex(form: dict[str, object], _: int) -> object:
    parts = [_parse(part, 0) for part in _list(form, 2)]
    numbers = [part for part in parts if type(part) is float or type(part) is int]
    if len(numbers) != 2:
        raise ValueMalformed("a marked complex must hold two numbers")
    return msgpack.ExtType(ExtensionCode.COMPLEX, complex_body(complex(*numbers)))


def _read_uuid(form: dict[str, object], _: int) -> object:
    return msgpack.ExtType(ExtensionCode.UUID, UUID(_text(form)).bytes)


def _read_enum(form: dict[str, object], _: int) -> object:
    return msgpack.ExtType(ExtensionCode.ENUM, msgpack.packb([_text(form, "class"), _text(form)]))


def _read_dataclass(form: dict[str, object], depth: int) -> object:
    _require_depth(depth)
    value = form["value"]
    if not is_dict(value):
        raise ValueMalformed("a marked dataclass must hold an object with its fields")
    fields = {name: _parse(item, depth + 1) for name, item in require_names(value).items()}
    return msgpack.ExtType(ExtensionCode.DATACLASS, msgpack.packb([_text(form, "class"), fields]))


def _read_array(form: dict[str, object], _: int) -> object:
    dtype, shape, content = _text(form, "dtype"), require_sizes(form["shape"]), _base64(form)
    require_layout(dtype, shape, content)
    return msgpack.ExtType(ExtensionCode.ARRAY, msgpack.packb([dtype, shape, content]))


def _read_scalar(form: dict[str, object], _: int) -> object:
    dtype, content = _text(form, "dtype"), _base64(form)
    require_layout(dtype, [], content)
    return msgpack.ExtType(ExtensionCode.SCALAR, msgpack.packb([dtype, content]))


def _read_blob(form: dict[str, object], _: int) -> object:
    [size] = require_sizes([form["size"]])
    body = write_reference(BlobReference(_text(form, "digest"), size))
    return msgpack.ExtType(ExtensionCode.BLOB, body)


_READERS: dict[str, Callable[[dict[str, object], int], object]] = {
    **dict.fromkeys(_TEXT_CODES, _read_text),
    **dict.fromkeys(_SEQUENCE_CODES, _read_sequence),
    "bytes": _base64,
    "dict": _read_dict,
    "float": _read_float,
    "int": _read_int,
    "timedelta": _read_delta,
    "complex": _read_complex,
    "uuid": _read_uuid,
    "enum": _read_enum,
    "dataclass": _read_dataclass,
    "array": _read_array,
    "scalar": _read_scalar,
    "blob": _read_blob,
}

_USUAL_KEYS = frozenset({MARK, "value"})
_KEYS: dict[str, frozenset[str]] = {
    "enum": _USUAL_KEYS | {"class"},
    "dataclass": _USUAL_KEYS | {"class"},
    "array": _USUAL_KEYS | {"dtype", "shape"},
    "scalar": _USUAL_KEYS | {"dtype"},
    "blob": frozenset({MARK, "digest", "size"}),
}
