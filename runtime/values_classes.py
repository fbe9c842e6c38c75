"""Users' own classes in values: which can be stored, and how a decoder builds them again.

Only Enums and dataclasses. A class is named by its path and looked up in a table that is passed in;
nothing is imported and no constructor of a user's class is run.
"""

from __future__ import annotations

import dataclasses
import sys
from enum import Enum
from typing import Protocol

from sojourn.runtime.errors import ValueMalformed

_EMPTY_FACTORIES: tuple[type, ...] = (list, dict, set)


class ClassTable(Protocol):
    """Where class paths in encoded values resolve."""

    def resolve(self, path: str) -> type | None:
        """Give the class of ``module:Qualname``, or None if it isn't one that may be used."""
        ...


class _EmptyClasses:
    def resolve(self, path: str) -> type | None:
        del path
        return None


EMPTY_CLASSES: ClassTable = _EmptyClasses()
"""A table without classes."""


class UnstorableClass(Exception):
    """An instance that couldn't be built again; the message says why and what to do."""


def class_path(cls: type) -> str:
    """Name a class as ``module:Qualname``."""
    return f"{cls.__module__}:{cls.__qualname__}"


def enum_parts(value: Enum, classes: ClassTable | None) -> list[object]:
    """Take a member of an Enum apart.

    Args:
        value: it.
        classes: those that a decoder will find; None where that isn't known.

    Returns:
        Its class's path and its name.

    Raises:
        UnstorableClass: if neither could be found again.
    """
    cls = type(value)
    name = value.name
    if cls.__members__.get(name) is not value:
        raise UnstorableClass(
            f"{value!r} is a combination without a name of its own: store its `.value` instead"
        )
    return [_storable_path(cls, classes), name]


def dataclass_parts(value: object, classes: ClassTable | None) -> list[object]:
    """Take an instance of a dataclass apart.

    Args:
        value: it.
        classes: those that a decoder will find; None where that isn't known.

    Returns:
        Its class's path and its fields, by name.

    Raises:
        UnstorableClass: if it couldn't be built again, or a field can't be read.
    """
    cls = type(value)
    path = _storable_path(cls, classes)
    try:
        object.__new__(cls)
    except TypeError:
        raise UnstorableClass(
            f"dataclass {cls.__qualname__} derives from a builtin type whose own content would be "
            "lost: hold that content in a field"
        ) from None
    fields: dict[str, object] = {}
    for field in dataclasses.fields(value):  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        try:
            fields[field.name] = getattr(value, field.name)
        except Exception as error:
            raise UnstorableClass(
                f"field {field.name!r} of this {cls.__qualname__} can't be read: {error}"
            ) from error
    return [path, fields]


def _storable_path(cls: type, classes: ClassTable | None) -> str:
    name = cls.__qualname__
    if cls.__module__ == "__main__":
        raise UnstorableClass(
            f"class {name} is defined in __main__: move it to a module that can be imported"
        )
    if "<locals>" in name:
        raise UnstorableClass(
            f"class {name} is local to a function: define it at its module's top level"
        )
    found: object = sys.modules.get(cls.__module__)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not cls:
        raise UnstorableClass(
            f"class {name} isn't what {cls.__module__}.{name} leads to: define it there, by that name"
        )
    path = class_path(cls)
    if classes is not None and classes.resolve(path) is not cls:
        raise UnstorableClass(
            f"class {path} couldn't be found again after a restart, since none of the flow's own modules "
            "holds it when it is loaded: import it at the top of the routine's module"
        )
    return path


def revive_enum(classes: ClassTable, path: str, member: str) -> Enum:
    """Find a member of an Enum.

    Raises:
        ValueMalformed: if the table has no such Enum, or it no such member.
    """
    cls = classes.resolve(path)
    if cls is None or not issubclass(cls, Enum):
        raise ValueMalformed(
            f"{path} is no Enum that the flow's modules have loaded: import it there"
        )
    found = cls.__members__.get(member)
    if found is None:
        raise ValueMalformed(f"{path} has no member {member!r}")
    return found


def revive_dataclass(classes: ClassTable, path: str, stored: dict[str, object]) -> object:
    """Build an instance of a dataclass without running its constructor.

    A field that was added to the class since takes its default, if that needs no user's code.

    Args:
        classes: resolves the path.
        path: the class.
        stored: its fields.

    Raises:
        ValueMalformed: if the table has no such dataclass, or its fields are others.
    """
    cls = classes.resolve(path)
    if cls is None or not dataclasses.is_dataclass(cls):
        raise ValueMalformed(
            f"{path} is no dataclass that the flow's modules have loaded: import it there"
        )
    known = {field.name: field for field in dataclasses.fields(cls)}
    for name in stored:
        if name not in known:
            raise ValueMalformed(f"{path} has no field {name!r} any more")
    try:
        value = object.__new__(cls)
        for name, field in known.items():
            item = stored[name] if name in stored else _default(path, field)
            object.__setattr__(value, name, item)
    except (TypeError, AttributeError) as error:
        raise ValueMalformed(f"{path} can't be built: {error}") from None
    return value


def _default(path: str, field: dataclasses.Field[object]) -> object:
    if field.default is not dataclasses.MISSING:
        return field.default
    wanted: object = field.default_factory
    for factory in _EMPTY_FACTORIES:
        if wanted is factory:
            return factory()
    raise ValueMalformed(
        f"the stored {path} has no field {field.name!r}, which was added since without a plain default"
    )
