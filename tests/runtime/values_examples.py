"""Classes, tables and blobs that the tests of the values codec share."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import textwrap
from collections.abc import Callable
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path
from typing import ClassVar, NamedTuple

import msgpack

from sojourn.runtime.values import (
    BlobReference,
    class_path,
    digest_of,
)


class Color(Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796 - an alias
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
    items: list[int] = dataclasses.field(default_factory=lambda: [1])
    tags: list[str] = dataclasses.field(default_factory=list)  # pyright: ignore[reportUnknownVariableType]


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
class Watched:
    """Does something whenever its field is read."""

    at_reading: ClassVar[list[Callable[[], object]]] = []

    a: int

    def __getattribute__(self, name: str) -> object:
        if name == "a":
            for act in Watched.at_reading:
                act()
        return super().__getattribute__(name)


@dataclasses.dataclass
class Unset:
    a: int = dataclasses.field(init=False)


class Pair(NamedTuple):
    a: int
    b: int


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


def packed(value: object) -> bytes:
    data: bytes = msgpack.packb(value)
    return data


def extension(code: int, body: bytes) -> bytes:
    return packed(msgpack.ExtType(code, body))


NOTHING: dict[str, object] = {}


def nested(levels: int) -> object:
    value: object = 1
    for level in range(levels):
        value = [value] if level % 2 else (value,)
    return value


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
