"""What a stranger says of itself, checked before anything is made of it: names, keys, addresses.

A key or address that isn't one would fail much later, inside ZeroMQ and after it was stored.
"""

from __future__ import annotations

import re
import struct

from zmq.utils import z85

from sojourn.runtime.wire.peer import Hello, Pair, Paired

KEY_CHARACTERS = 40
"""Length of a key in Z85 (ZeroMQ RFC 32)."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ADDRESS = re.compile(r"tcp://(?:[^\s:/;\[\]]{1,255}|\[[0-9a-fA-F:.]{2,45}\]):([0-9]{1,5})")
_LARGEST_PORT = 65535
_LARGEST_NUMBER = 2**53
_LONGEST_STORE_ID = 64
_LONGEST_ROLE = 32


def is_key(text: str) -> bool:
    """Tell whether a text is a CURVE key in Z85."""
    if len(text) != KEY_CHARACTERS:
        return False
    try:
        z85.decode(text.encode("ascii"))
    except (UnicodeEncodeError, KeyError, struct.error):
        return False
    return True


def is_address(text: str) -> bool:
    """Tell whether a text is an address that can be dialled."""
    match = _ADDRESS.fullmatch(text)
    return match is not None and 0 < int(match[1]) <= _LARGEST_PORT and "*" not in text


def against_introduction(said: Pair | Paired) -> str | None:
    """Say what is wrong with how a host introduces itself; None if nothing is."""
    if not is_key(said.public_key):
        return "its key is none"
    return _against(said.host, said.store_id, said.address)


def against_hello(hello: Hello) -> str | None:
    """Say what is malformed in a HELLO; None if nothing is."""
    known = hello.knows_you
    seen = 0 if known is None else known.incarnation
    for number in (hello.incarnation, hello.lowest, hello.highest, seen):
        if not 0 <= number <= _LARGEST_NUMBER:
            return f"{number} is no incarnation or version"
    for name in (hello.run, *(() if known is None else (known.store_id, known.run))):
        if len(name) > _LONGEST_STORE_ID or not name.isprintable():
            return f"{name[:80]!r} names no store or run"
    if len(hello.your_role) > _LONGEST_ROLE or not hello.your_role.isprintable():
        return f"{hello.your_role[:80]!r} is no role"
    return _against(hello.host, hello.store_id, hello.address)


def _against(host: str, store_id: str, address: str | None) -> str | None:
    if _NAME.fullmatch(host) is None:
        return f"{host[:80]!r} can't be a host's name"
    if not 0 < len(store_id) <= _LONGEST_STORE_ID or not store_id.isprintable():
        return f"{store_id[:80]!r} is no store's id"
    if address is not None and not is_address(address):
        return f"{address[:80]!r} is no address"
    return None
