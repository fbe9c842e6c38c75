"""From values to bytes, and the sentence that says which part can't be one.

Plain values are packed in one go; ``_default`` is asked only for what MessagePack lacks. Never
stores anything and never changes a value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import partial

import msgpack

from sojourn.runtime.errors import ValueNotEncodable
from sojourn.runtime.values_arrays import UnplainArray, array_extension
from sojourn.runtime.values_classes import ClassTable, UnstorableClass, dataclass_parts, enum_parts
from sojourn.runtime.values_leaves import WRITERS
from sojourn.runtime.values_raw import DEEPEST, ExtensionCode, is_deep, is_dict, is_flat, is_list

_SUSPECT_HEADERS = bytes([*range(0xC4, 0xCA), *range(0xD4, 0xD9)])
"""Bytes and extensions: what MessagePack also makes of types that aren't ours, unasked."""

_FOREIGN = frozenset({bytearray, memoryview, msgpack.ExtType, msgpack.Timestamp})
_PLAIN = frozenset({type(None), bool, int, float, bytes})
_WATCHED_DEPTH = 4
"""From this depth of extensions on, lists in them are measured before they are packed."""

_TOO_DEEP = f"it is nested more than {DEEPEST} levels deep (or contains itself): flatten it"
_LONGEST_KEY = 60
_LARGEST_KEPT = 1 << 20
"""A packer that packed more bytes has taken that much memory, and is let go."""


class _Unsupported(Exception):
    """A value that can't be encoded, before its place is known."""


class _TooDeep(Exception):
    """A value that nests too deep."""


class Packing:
    """Packs values one after the other; what each would make anew is kept.

    Args:
        classes: those that a decoder will find; None where that isn't known.
    """

    __slots__ = ("_classes", "_default", "_idle")

    def __init__(self, classes: ClassTable | None) -> None:
        self._classes = classes
        self._default = partial(_default, 0, classes)
        self._idle: list[msgpack.Packer] = []
        """Packers that nobody uses now: threads, and who packs while another is at it, need several."""

    def pack_checked(self, value: object, where: str) -> bytes:
        """Encode one value.

        Args:
            value: anything of the closed set.
            where: what the value is, for the error's sentence.

        Raises:
            ValueNotEncodable: names the place inside the value, its type and what to do.
        """
        failure: Exception
        try:
            try:
                packer = self._idle.pop()
            except IndexError:
                packer = msgpack.Packer(default=self._default, strict_types=True)
            data = packer.pack(value)
            size = len(data)
            if size <= _LARGEST_KEPT:
                self._idle.append(packer)
            small = size <= DEEPEST
            if not small and is_flat(value):
                return data  # without a search through its bytes
            if len(data.translate(None, _SUSPECT_HEADERS)) != size and _holds_foreign(value):
                raise _Unsupported
            if small or not is_deep(data):
                return data
            failure = _TooDeep()
        except Exception as error:  # noqa: BLE001 - becomes the sentence below, which needs no chain
            failure = error
        raise ValueNotEncodable(_explain(value, where, failure, self._classes))


def _pack(value: object, depth: int, classes: ClassTable | None) -> bytes:
    data: bytes = msgpack.packb(value, default=partial(_default, depth, classes), strict_types=True)
    if len(data.translate(None, _SUSPECT_HEADERS)) != len(data) and _holds_foreign(value):
        raise _Unsupported
    return data


def _holds_foreign(value: object) -> bool:
    """Look through the lists and dicts of a value; other containers are packed on their own."""
    level: list[object] = [value]
    while level:
        kinds = set(map(type, level))
        if not kinds.isdisjoint(_FOREIGN):
            return True
        level = _next_level(level)
    return False


def _next_level(level: list[object]) -> list[object]:
    below: list[object] = []
    for item in level:
        if is_list(item):
            below += item
        elif is_dict(item):
            below += item.keys()
            below += item.values()
    return below


def _default(depth: int, classes: ClassTable | None, value: object) -> object:
    kind = type(value)
    leaf = WRITERS.get(kind)
    if leaf is not None:
        code, write = leaf
        return msgpack.ExtType(code, write(value))
    if kind is tuple:
        items = list(_items(value))
        return msgpack.ExtType(ExtensionCode.TUPLE, _pack_inside(items, depth, classes))
    if kind is set or kind is frozenset:
        code = ExtensionCode.SET if kind is set else ExtensionCode.FROZENSET
        return msgpack.ExtType(code, _pack_sorted(_items(value), depth, classes))
    if isinstance(value, Enum):
        return msgpack.ExtType(ExtensionCode.ENUM, msgpack.packb(enum_parts(value, classes)))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = dataclass_parts(value, classes)
        return msgpack.ExtType(ExtensionCode.DATACLASS, _pack_inside(parts, depth, classes))
    array = array_extension(value)
    if array is None:
        raise _Unsupported
    return msgpack.ExtType(*array)


def _items(value: object) -> Iterable[object]:
    assert isinstance(value, (list, tuple, set, frozenset))
    return value  # pyright: ignore[reportUnknownVariableType]


def _pack_inside(parts: list[object], depth: int, classes: ClassTable | None) -> bytes:
    # The packer recurses in C, through every list, and anew in every extension: watch the stack.
    if depth >= _WATCHED_DEPTH:
        level: list[object] = parts
        for _ in range(DEEPEST + 1 - depth):
            level = _next_level(level)
            if not level:
                break
        else:
            raise _TooDeep
    return _pack(parts, depth + 1, classes)


def _pack_sorted(items: Iterable[object], depth: int, classes: ClassTable | None) -> bytes:
    packed = sorted(_pack_inside([item], depth, classes)[1:] for item in items)
    header = msgpack.Packer(autoreset=False)
    header.pack_array_header(len(packed))
    return b"".join([header.bytes(), *packed])


# --- errors -------------------------------------------------------------------------------


def _explain(value: object, where: str, error: Exception, classes: ClassTable | None) -> str:
    """Say which part of a value couldn't be encoded, and why; slow, for an error only."""
    place = where
    culprit = value
    if _is_too_deep(error):
        return f"{where} can't be encoded: {_TOO_DEEP}"
    for _ in range(DEEPEST):
        for inner_place, part in _parts(culprit, place):
            failure = _failure(part, classes)
            if failure is not None:
                place, culprit, error = inner_place, part, failure
                break
        else:
            break
    return f"{place} can't be encoded: {_reason(culprit, error)}"


def _is_too_deep(error: Exception) -> bool:
    # MessagePack's own limit has no exception class of its own.
    return isinstance(error, (_TooDeep, RecursionError)) or "recursion limit" in str(error)


def _failure(value: object, classes: ClassTable | None) -> Exception | None:
    if type(value) in _PLAIN and type(value) is not int:
        return None
    try:
        _pack(value, 0, classes)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the sentence is about
        return error
    return None


def _parts(value: object, where: str) -> Iterator[tuple[str, object]]:
    kind = type(value)
    if kind is dict and is_dict(value):
        for key, item in value.items():
            name = _short(key)
            yield f"the key {name} of {where}", key
            yield f"{where}[{name}]", item
    elif kind is list or kind is tuple:
        for place, item in enumerate(_items(value)):
            yield f"{where}[{place}]", item
    elif kind is set or kind is frozenset:
        for item in _items(value):
            yield f"an element of {where}", item
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            try:
                yield f"{where}.{field.name}", getattr(value, field.name)
            except Exception:  # noqa: BLE001 - the user's own code; then the whole object is named
                return


def _short(key: object) -> str:
    try:
        text = repr(key)
    except Exception:  # noqa: BLE001 - the user's own code
        text = f"<{type(key).__qualname__}>"
    return text if len(text) <= _LONGEST_KEY else f"{text[:_LONGEST_KEY]}…"


def _reason(culprit: object, error: Exception) -> str:
    kind = type(culprit)
    if isinstance(error, (UnstorableClass, UnplainArray)):
        return str(error)
    if isinstance(error, UnicodeEncodeError):
        return "its text holds a lone surrogate, which is no valid Unicode: replace or escape it"
    if _is_too_deep(error):
        return _TOO_DEEP
    if not isinstance(error, _Unsupported):
        return f"{kind.__module__}.{kind.__qualname__}: {error}"
    if kind is bytearray or kind is memoryview:
        return f"{kind.__qualname__} can change while it is stored: convert it with bytes()"
    return (
        f"{kind.__module__}.{kind.__qualname__} is not among the types that can be stored "
        "(plain JSON-like values, bytes, datetime, Decimal, UUID, set, tuple, Path, Enum, dataclass, "
        "NumPy arrays; subclasses of builtins aren't): convert it, or keep it in a private or "
        "`transient` attribute"
    )
