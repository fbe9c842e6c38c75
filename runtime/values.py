"""The values codec: users' values to bytes and back, from a closed set of types.

MessagePack, plus one extension per type that it lacks. The decoder never imports and never runs a
constructor of a user's class; classes are resolved through a table that is passed in. Values over
64 KiB become references to blobs where a sink for them is given. The parts: ``values_raw`` (bytes),
``values_leaves``, ``values_classes`` and ``values_arrays`` (kinds of types), ``values_encoding``.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Protocol

import msgpack

from sojourn.runtime.errors import ValueMalformed, ValueNotEncodable
from sojourn.runtime.values_arrays import revive_array, revive_scalar
from sojourn.runtime.values_classes import (
    EMPTY_CLASSES,
    ClassTable,
    class_path,
    revive_dataclass,
    revive_enum,
)
from sojourn.runtime.values_encoding import Packing
from sojourn.runtime.values_leaves import read_leaf
from sojourn.runtime.values_raw import (
    DEEPEST,
    REFERENCE_BYTES,
    SEQUENCES,
    BlobReference,
    ExtensionCode,
    is_container,
    is_dict,
    is_extension,
    is_flat,
    is_list,
    is_named,
    may_be_deep,
    may_hold_timestamp,
    parse,
    read_dataclass,
    read_enum,
    read_reference,
    read_sequence,
    write_reference,
)

__all__ = [
    "BLOB_THRESHOLD",
    "EMPTY_CLASSES",
    "EMPTY_FIELDS",
    "BlobReference",
    "BlobSink",
    "BlobSource",
    "ClassTable",
    "Encoder",
    "ExtensionCode",
    "blob_references",
    "class_path",
    "decode",
    "decode_fields",
    "digest_of",
    "encode",
    "encode_fields",
    "is_digest",
    "may_hold_blobs",
    "read_reference",
]

BLOB_THRESHOLD = 64 * 1024
"""Encoded bytes above which a field, attribute or shared value becomes a blob."""

DIGEST_CHARACTERS = 64

_BLOB_MARK = bytes((0xC7, REFERENCE_BYTES, ExtensionCode.BLOB))
"""How every reference to a blob begins: MessagePack's ext 8, its length and its type."""


_MARK = 0xFF
"""A byte that every timestamp of MessagePack's has; what is small and lacks it is neither that nor deep."""


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


class Encoder:
    """Encodes values for decoders that know one table of classes. For several: it keeps what each needs.

    A datetime keeps its offset from UTC but not the name of its zone; every kind of path comes back
    as ``Path``; of a dataclass the fields are kept and nothing else.

    Args:
        classes: what a decoder will resolve classes with: those that it won't find are refused. None
            where that isn't known.
    """

    __slots__ = ("_pack",)

    def __init__(self, classes: ClassTable | None = None) -> None:
        self._pack = Packing(classes).pack_checked

    def encode(
        self, value: object, *, where: str = "value", blobs: BlobSink | None = None
    ) -> bytes:
        """Encode one value.

        Args:
            value: anything of the closed set.
            where: what the value is, for the error's sentence.
            blobs: takes encodings over ``BLOB_THRESHOLD`` bytes; None keeps them inline.

        Raises:
            ValueNotEncodable: names the place inside the value, its type and what to do.
        """
        data = self._pack(value, where)
        if blobs is not None and len(data) > BLOB_THRESHOLD:
            return _blob(data, blobs)
        return data

    def encode_fields(
        self, fields: dict[str, object], *, where: str, blobs: BlobSink | None = None
    ) -> bytes:
        """Encode named values as one map; large ones become blobs one by one.

        Args:
            fields: names and values.
            where: what they belong to, for the error's sentence.
            blobs: takes values over ``BLOB_THRESHOLD`` bytes; None keeps them inline.

        Raises:
            ValueNotEncodable: names the field, the place inside it, its type and what to do.
        """
        for name in fields:
            if type(name) is not str:
                raise ValueNotEncodable(
                    f"{where} can't be encoded: its keys must be text, and {type(name).__qualname__} "
                    "isn't: put a dict with such keys into one of its fields"
                )
        data = self._pack(fields, where)
        if blobs is None or len(data) <= BLOB_THRESHOLD:
            return data
        packer = msgpack.Packer(autoreset=False)
        packer.pack_map_header(len(fields))
        parts: list[bytes] = [packer.bytes()]
        for name, value in fields.items():
            parts.append(msgpack.packb(name))
            parts.append(self.encode(value, where=f"{where}[{name!r}]", blobs=blobs))
        return b"".join(parts)


def encode(
    value: object,
    *,
    where: str = "value",
    blobs: BlobSink | None = None,
    classes: ClassTable | None = None,
) -> bytes:
    """Encode one value, as ``Encoder(classes).encode`` does."""
    return Encoder(classes).encode(value, where=where, blobs=blobs)


def encode_fields(
    mapping: Mapping[str, object],
    *,
    where: str,
    blobs: BlobSink | None = None,
    classes: ClassTable | None = None,
) -> bytes:
    """Encode named values as one map, as ``Encoder(classes).encode_fields`` does."""
    return Encoder(classes).encode_fields(dict(mapping), where=where, blobs=blobs)


def decode(
    data: bytes, classes: ClassTable = EMPTY_CLASSES, blobs: BlobSource | None = None
) -> object:
    """Decode one value.

    Args:
        data: as ``encode`` made it.
        classes: resolves dataclasses and Enums.
        blobs: gives the bytes of blobs. What it raises is passed on.

    Raises:
        ValueMalformed: if the bytes are no such value, or name a class that isn't in the table.
    """
    raw, extensions = parse(data)
    if extensions or len(data) > DEEPEST or _MARK in data:
        return _finished(data, raw, extensions, classes, blobs)
    return raw


def decode_fields(
    data: bytes, classes: ClassTable = EMPTY_CLASSES, blobs: BlobSource | None = None
) -> dict[str, object]:
    """Decode named values.

    Args:
        data: as ``encode_fields`` made it.
        classes: resolves dataclasses and Enums.
        blobs: gives the bytes of blobs. What it raises is passed on.

    Raises:
        ValueMalformed: if the bytes are no map with text keys.
    """
    value, extensions = parse(data)
    if extensions or len(data) > DEEPEST or _MARK in data:
        value = _finished(data, value, extensions, classes, blobs)
    if is_named(value):
        return value
    if is_dict(value):
        raise ValueMalformed("the names of encoded fields must be text")
    raise ValueMalformed("encoded fields must be a map")


def blob_references(data: bytes) -> list[BlobReference]:
    """Find the blobs that encoded bytes refer to.

    Raises:
        ValueMalformed: if the bytes are no value.
    """
    return _references(parse(data)[1])


def may_hold_blobs(data: bytes) -> bool:
    """Tell, at the price of one search, whether encoded bytes can refer to blobs at all."""
    return _BLOB_MARK in data


def digest_of(data: bytes) -> str:
    """Name bytes by their sha256 (hex)."""
    return sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Tell whether a text is a sha256 in hex, and so can name a blob."""
    return len(text) == DIGEST_CHARACTERS and all(character in "0123456789abcdef" for character in text)


def _blob(data: bytes, blobs: BlobSink) -> bytes:
    body = write_reference(blobs.put(data))
    packed: bytes = msgpack.packb(msgpack.ExtType(ExtensionCode.BLOB, body))
    return packed


def _finished(
    data: bytes, raw: object, extensions: list[tuple[int, bytes]], classes: ClassTable,
    blobs: BlobSource | None,
) -> object:
    """Give the value that a raw form stands for; few small ones need that."""
    if extensions:
        return _revive(raw, classes, _fetch(extensions, blobs))
    if is_flat(raw) or not (may_be_deep(data) or may_hold_timestamp(data)):
        return raw
    return _revive(raw, classes, {})


def _references(extensions: list[tuple[int, bytes]]) -> list[BlobReference]:
    return [read_reference(body) for code, body in extensions if code == ExtensionCode.BLOB]


def _fetch(extensions: list[tuple[int, bytes]], blobs: BlobSource | None) -> dict[str, bytes]:
    """Get the bytes of all blobs beforehand, so that only the source's own errors come from it."""
    fetched: dict[str, bytes] = {}
    for reference in _references(extensions):
        if blobs is None:
            raise ValueMalformed(
                f"the value is kept in blob {reference.digest}, which isn't at hand"
            )
        data = blobs.get(reference.digest)
        if len(data) != reference.size:
            raise ValueMalformed(
                f"blob {reference.digest} has {len(data)} bytes instead of {reference.size}"
            )
        fetched[reference.digest] = data
    return fetched


def _revive(raw: object, classes: ClassTable, fetched: dict[str, bytes]) -> object:
    try:
        return _Reviver(classes, fetched).revive(raw, 0)
    except ValueMalformed:
        raise
    except Exception as error:
        # Keys and elements are hashed and compared by their own classes, which may raise anything.
        raise ValueMalformed(
            f"the value doesn't decode: {type(error).__name__}: {error}"
        ) from error


class _Reviver:
    """From the raw form to users' values. Recurses in Python only: C has less stack."""

    __slots__ = ("_classes", "_fetched")

    def __init__(self, classes: ClassTable, fetched: dict[str, bytes]) -> None:
        self._classes = classes
        self._fetched = fetched

    def revive(self, raw: object, depth: int) -> object:
        if depth >= DEEPEST and is_container(raw):
            raise ValueMalformed(f"the value is nested more than {DEEPEST} levels deep")
        if is_extension(raw):
            return self._extension(raw[0], raw[1], depth)
        if is_list(raw):
            return self._items(raw, depth)
        if is_dict(raw):
            keys = self._items(list(raw), depth)
            return dict(zip(keys, self._items(list(raw.values()), depth), strict=True))
        if isinstance(raw, msgpack.Timestamp):
            raise ValueMalformed(
                "MessagePack's own timestamps are not among the types that are used"
            )
        return raw

    def _items(self, items: list[object], depth: int) -> list[object]:
        below = depth + 1
        return [item if type(item) in _FINISHED else self.revive(item, below) for item in items]

    def _extension(self, code: int, body: bytes, depth: int) -> object:
        if code in SEQUENCES:
            items = self._items(read_sequence(body), depth)
            if code == ExtensionCode.TUPLE:
                return tuple(items)
            return set(items) if code == ExtensionCode.SET else frozenset(items)
        if code == ExtensionCode.DATACLASS:
            path, fields = read_dataclass(body)
            items = self._items(list(fields.values()), depth)
            return revive_dataclass(self._classes, path, dict(zip(fields, items, strict=True)))
        if code == ExtensionCode.ENUM:
            return revive_enum(self._classes, *read_enum(body))
        if code == ExtensionCode.ARRAY:
            return revive_array(body)
        if code == ExtensionCode.SCALAR:
            return revive_scalar(body)
        if code == ExtensionCode.BLOB:
            return self._blob(read_reference(body))
        return read_leaf(code, body)

    def _blob(self, reference: BlobReference) -> object:
        raw, extensions = parse(self._fetched[reference.digest])
        if _references(extensions):
            raise ValueMalformed(f"blob {reference.digest} refers to other blobs")
        return _Reviver(self._classes, {}).revive(raw, 0)


_FINISHED = frozenset({str, int, float, bool, type(None), bytes})

EMPTY_FIELDS = encode_fields({}, where="nothing")
"""No fields, encoded."""
