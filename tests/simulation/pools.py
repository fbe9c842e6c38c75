"""Copies and names of the shipped machines' states, so that a state that was seen is known again.

Works on whatever fields a machine has: a field that is added tomorrow is copied and compared like the
others, and a value that can't be is an error, never left out.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec
import zstandard

from sojourn.runtime.handoff.convergence import Convergence
from sojourn.runtime.handoff.source import SourceHandoff
from sojourn.runtime.handoff.stream import IncomingStream, OutgoingStream
from sojourn.runtime.handoff.target import TargetHandoff

ATOMS = (type(None), bool, int, float, str, bytes, Enum)
OBJECTS = (SourceHandoff, TargetHandoff, OutgoingStream, IncomingStream, Convergence)
STATELESS = (zstandard.ZstdCompressor, zstandard.ZstdDecompressor)
HASH = type(hashlib.sha256())

T = TypeVar("T")


def is_a(value: object, kinds: tuple[type, ...]) -> bool:
    """Whether a value is of one of some kinds; to a type checker it stays anything."""
    return isinstance(value, kinds)


def fields_of(value: object) -> dict[str, Any]:
    """Give all fields of an object."""
    return vars(value)


def clone(value: Any) -> Any:
    """Copy a value whose changes must not reach the one that it was copied from."""
    kind: Callable[..., Any] = value.__class__
    if is_a(value, (*ATOMS, frozenset, *STATELESS)):
        return value
    if is_a(value, (HASH,)):
        return value.copy()
    if is_a(value, (tuple,)):
        return value
    if is_a(value, (list, deque, set)):
        return kind(clone(entry) for entry in value)
    if is_a(value, (bytearray,)):
        return bytearray(value)
    if is_a(value, (dict,)):
        return {name: clone(entry) for name, entry in value.items()}
    if is_a(value, (msgspec.Struct,)):
        return kind(*(clone(entry) for entry in msgspec.structs.astuple(value)))
    if is_a(value, OBJECTS):
        copy = object.__new__(value.__class__)
        vars(copy).update((name, clone(entry)) for name, entry in fields_of(value).items())
        return copy
    raise TypeError(f"the exploration can't copy a {value.__class__.__name__}")


def name_of(value: Any) -> Any:
    """Give what two values have in common if, and only if, they are in the same state."""
    if is_a(value, ATOMS):
        return value
    if is_a(value, STATELESS):
        return value.__class__.__name__
    if is_a(value, (HASH,)):
        return value.hexdigest()
    if is_a(value, (tuple, list, deque)):
        return tuple(name_of(entry) for entry in value)
    if is_a(value, (set, frozenset)):
        return frozenset(name_of(entry) for entry in value)
    if is_a(value, (bytearray,)):
        return bytes(value)
    if is_a(value, (dict,)):
        return tuple((name, name_of(value[name])) for name in sorted(value))
    if is_a(value, (msgspec.Struct,)):
        return (value.__class__.__name__, *(name_of(entry) for entry in msgspec.structs.astuple(value)))
    if is_a(value, OBJECTS):
        fields = fields_of(value).items()
        return (value.__class__.__name__, *((name, name_of(entry)) for name, entry in fields))
    raise TypeError(f"the exploration can't compare a {value.__class__.__name__}")


class Pool(Generic[T]):
    """Values, each kept once under a small number."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._values: list[T] = []

    def put(self, value: T) -> int:
        """Give the number of a value; equal ones have the same."""
        name = name_of(value)
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._values)
            self._values.append(value)
        return number

    def __getitem__(self, number: int) -> T:
        return self._values[number]

    def __len__(self) -> int:
        return len(self._values)
