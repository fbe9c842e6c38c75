"""NumPy arrays and scalars, if the program has loaded NumPy; this file never imports it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Protocol, cast

import msgpack

from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.values_raw import ExtensionCode, is_plain_dtype, read_array, read_scalar


class _DataType(Protocol):
    """What is used of NumPy's types."""

    @property
    def itemsize(self) -> int: ...
    @property
    def str(self) -> str: ...


class _Array(Protocol):
    """What is used of NumPy's arrays and scalars: their types aren't there where NumPy isn't."""

    @property
    def dtype(self) -> _DataType: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def tobytes(self) -> bytes: ...
    def copy(self) -> _Array: ...
    def __getitem__(self, index: tuple[()]) -> object: ...


class UnplainArray(Exception):
    """NumPy data whose bytes aren't plain data; the message says what to do."""


def array_extension(value: object) -> tuple[ExtensionCode, bytes] | None:
    """Encode a NumPy array or scalar.

    Args:
        value: anything.

    Returns:
        The extension and its body, or None if the value isn't NumPy's.

    Raises:
        UnplainArray: if it is, but holds objects, records or strings of variable length.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    kind = type(value)
    array = cast("_Array", value)
    if kind is numpy.ndarray:
        body: bytes = msgpack.packb([_plain(array.dtype), list(array.shape), array.tobytes()])
        return ExtensionCode.ARRAY, body
    if kind.__module__ == "numpy" and issubclass(kind, numpy.generic):
        # Empty text claims no bytes and gives four.
        content = array.tobytes()[: array.dtype.itemsize]
        return ExtensionCode.SCALAR, msgpack.packb([_plain(array.dtype), content])
    return None


def _plain(dtype: _DataType) -> str:
    name = dtype.str
    if not is_plain_dtype(name):
        raise UnplainArray(
            f"NumPy data of dtype {dtype} can't be stored: use numbers, dates or text of fixed length"
        )
    return name


def revive_array(body: bytes) -> object:
    """Build an array, in C order and writable.

    Raises:
        ValueMalformed: if the body is no array's, or NumPy isn't loaded.
    """
    dtype, shape, content = read_array(body)
    return _build(dtype, shape, content)


def revive_scalar(body: bytes) -> object:
    """Build a NumPy scalar.

    Raises:
        ValueMalformed: if the body is no scalar's, or NumPy isn't loaded.
    """
    dtype, content = read_scalar(body)
    return _build(dtype, [], content)[()]


def _build(dtype: str, shape: list[int], content: bytes) -> _Array:
    numpy = _numpy()
    try:
        array: _Array = numpy.ndarray(shape, dtype, buffer=content)
        return array.copy()
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise ValueMalformed(f"an array of dtype {dtype} doesn't decode: {error}") from None


def _numpy() -> ModuleType:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise ValueMalformed(
            "the value is a NumPy array, and the flow's modules don't import numpy: import it there"
        )
    return numpy
