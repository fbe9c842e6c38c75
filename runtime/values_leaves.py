"""Types without parts: how each turns into the body of its extension, and back.

One table for both directions. Never sees containers, classes of users or NumPy.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from uuid import UUID

from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.values_raw import ExtensionCode

_COMPLEX = struct.Struct("<dd")
_DELTA = struct.Struct("<iiI")

_FINE_OFFSET = re.compile(
    r"(?P<local>.{19}(?:\.[0-9]{6})?)(?P<sign>[+-])(?P<h>[0-9]{2}):(?P<m>[0-9]{2})"
    r":(?P<s>[0-9]{2})\.(?P<us>[0-9]{6})"
)
"""A time with an offset finer than a second: Python reads one below a second as UTC itself."""


def _datetime_body(value: object) -> bytes:
    assert isinstance(value, datetime)
    # ISO text has no place for the second 02:30 of the night when clocks go back.
    return (value.isoformat() + ("f" if value.fold else "")).encode()


def _datetime(body: bytes) -> datetime:
    text = body.decode()
    fold = text.endswith("f")
    text = text[:-1] if fold else text
    fine = _FINE_OFFSET.fullmatch(text)
    value = datetime.fromisoformat(text if fine is None else fine["local"])
    if fine is not None:
        value = value.replace(tzinfo=timezone(_offset(fine)))
    return value.replace(fold=1) if fold else value


def _offset(fine: re.Match[str]) -> timedelta:
    hours, minutes, seconds, microseconds = map(int, fine.group("h", "m", "s", "us"))
    size = timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=microseconds)
    return -size if fine["sign"] == "-" else size


def _date_body(value: object) -> bytes:
    assert isinstance(value, date)
    return value.isoformat().encode()


def _date(body: bytes) -> date:
    return date.fromisoformat(body.decode())


def delta_body(value: object) -> bytes:
    """Make a timedelta's body."""
    assert isinstance(value, timedelta)
    return _DELTA.pack(value.days, value.seconds, value.microseconds)


def _delta(body: bytes) -> timedelta:
    days, seconds, microseconds = _DELTA.unpack(body)
    return timedelta(days, seconds, microseconds)


def complex_body(value: object) -> bytes:
    """Make a complex number's body."""
    assert isinstance(value, complex)
    return _COMPLEX.pack(value.real, value.imag)


def _complex(body: bytes) -> complex:
    return complex(*_COMPLEX.unpack(body))


def integer_body(value: object) -> bytes:
    """Make the body of an integer that MessagePack has no room for."""
    assert isinstance(value, int)
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def fits_messagepack(value: int) -> bool:
    """Tell whether an integer is one of MessagePack's own."""
    return -(2**63) <= value < 2**64


def _integer(body: bytes) -> int:
    value = int.from_bytes(body, "big", signed=True)
    if fits_messagepack(value):
        raise ValueError("a number this small has an encoding of its own")
    return value


def _decimal_body(value: object) -> bytes:
    return str(value).encode()


def _decimal(body: bytes) -> Decimal:
    return Decimal(body.decode())


def _uuid_body(value: object) -> bytes:
    assert isinstance(value, UUID)
    return value.bytes


def _uuid(body: bytes) -> UUID:
    return UUID(bytes=body)


def _path_body(value: object) -> bytes:
    assert isinstance(value, PurePath)
    return value.as_posix().encode()


def _path(body: bytes) -> Path:
    return Path(body.decode())


WRITERS: dict[type, tuple[ExtensionCode, Callable[[object], bytes]]] = {
    datetime: (ExtensionCode.DATETIME, _datetime_body),
    date: (ExtensionCode.DATE, _date_body),
    timedelta: (ExtensionCode.TIMEDELTA, delta_body),
    Decimal: (ExtensionCode.DECIMAL, _decimal_body),
    UUID: (ExtensionCode.UUID, _uuid_body),
    complex: (ExtensionCode.COMPLEX, complex_body),
    int: (ExtensionCode.INTEGER, integer_body),
    **dict.fromkeys(
        (PosixPath, WindowsPath, PurePosixPath, PureWindowsPath),
        (ExtensionCode.PATH, _path_body),
    ),
}
"""Exact type → its extension, and what makes the body."""

_READERS: dict[int, Callable[[bytes], object]] = {
    ExtensionCode.DATETIME: _datetime,
    ExtensionCode.DATE: _date,
    ExtensionCode.TIMEDELTA: _delta,
    ExtensionCode.DECIMAL: _decimal,
    ExtensionCode.UUID: _uuid,
    ExtensionCode.COMPLEX: _complex,
    ExtensionCode.INTEGER: _integer,
    ExtensionCode.PATH: _path,
}


def read_leaf(code: int, body: bytes) -> object:
    """Give the value of an extension without parts.

    Raises:
        ValueMalformed: if the code is none of this file's, or the body doesn't fit it.
    """
    reader = _READERS.get(code)
    if reader is None:
        raise ValueMalformed(f"extension {code} is not among the types that are used")
    try:
        return reader(body)
    except (ValueError, ArithmeticError, struct.error) as error:
        name = ExtensionCode(code).name.lower()
        raise ValueMalformed(f"a {name} doesn't decode: {error}") from None
