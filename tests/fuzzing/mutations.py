"""What is made of valid messages before they are decoded: damaged bytes, and other values in place."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import msgpack
from hypothesis import strategies as st

from sojourn.runtime.values_raw import is_dict, is_list
from tests.fuzzing.decoders import Decoder

CLAIMS = (
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x08", b"\xdc\xff\xff", b"\xde\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x04",
)
"""Lengths that nothing follows."""

DEPTHS = (b"\x91", b"\x81\xa1a", b"\xd4\x08", b"[", b'{"a":', b"(", b"not ", b"\xc7\xff\x08")
"""Beginnings of containers, to be repeated."""

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 31, 1 << 53, (1 << 63) - 1, (1 << 64) - 1, -(1 << 63), 0.0, -1.0, 1e300, 2.5e11,
    math.nan, math.inf, -math.inf, "", "\0", "a" * 300, "ä\ud800", "../x", b"", b"\x80", b"\xc1",
    b"\x91" * 2000, b"\xd6\xff\0\0\0\0", [], {}, [[]], {"": None}, {"type": "hello"},
)


def rubbish() -> st.SearchStrategy[bytes]:
    """Bytes that nobody made a message of."""
    deep = st.tuples(st.sampled_from(DEPTHS), st.sampled_from((50, 101, 900, 20_000))).map(
        lambda drawn: drawn[0] * drawn[1]
    )
    return st.one_of(
        st.binary(max_size=300), deep,
        st.tuples(st.binary(max_size=8), st.sampled_from(CLAIMS), st.binary(max_size=8)).map(b"".join),
    )


@st.composite
def damaged(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """A valid message with bytes changed, cut, doubled, or put in from elsewhere."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        end = min(len(data), place + draw(st.integers(0, 20)))
        match draw(st.integers(0, 5)):
            case 0:
                data[place:end] = b""
            case 1:
                data[place:place] = data[place:end]
            case 2:
                data[place:end] = draw(rubbish())
            case 3:
                del data[place:]
            case 4:
                other = draw(st.sampled_from(samples))
                data[place:] = other[draw(st.integers(0, len(other))) :]
            case _:
                if data:
                    data[place % len(data)] = draw(st.integers(0, 255))
    return bytes(data)


@st.composite
def rearranged(draw: st.DrawFn, decoder: Decoder) -> bytes:
    """A valid message with other values at some places: still well formed, no longer what it says."""
    read, write = _CODECS[decoder.kind]
    tree = read(draw(st.sampled_from(decoder.samples)))
    for _ in range(draw(st.integers(1, 3))):
        tree = _replaced(draw, tree)
    return write(tree)


def _replaced(draw: st.DrawFn, tree: object) -> object:
    """Change a tree at one place; the walk may end anywhere, at a leaf or at a container."""
    if not tree or draw(st.integers(0, 6)) == 0:
        return _other(draw, tree)
    if is_list(tree):
        return _replaced_item(draw, list(tree))
    if is_dict(tree):
        return _replaced_entry(draw, dict(tree))
    return _other(draw, tree)


def _replaced_item(draw: st.DrawFn, items: list[object]) -> list[object]:
    place = draw(st.integers(0, len(items) - 1))
    match draw(st.integers(0, 9)):
        case 0:
            del items[place]
        case 1:
            items.append(items[place])
        case _:
            items[place] = _replaced(draw, items[place])
    return items


def _replaced_entry(draw: st.DrawFn, entries: dict[object, object]) -> dict[object, object]:
    key = draw(st.sampled_from(list(entries)))
    match draw(st.integers(0, 9)):
        case 0:
            del entries[key]
        case 1:
            entries[draw(st.sampled_from(("", "x", "type")))] = entries.pop(key)
        case _:
            entries[key] = _replaced(draw, entries[key])
    return entries


def _other(draw: st.DrawFn, before: object) -> object:
    if isinstance(before, bytes) and draw(st.booleans()):
        return draw(damaged((before,)))
    return draw(st.sampled_from(ODD))


def _read_msgpack(data: bytes) -> Any:
    return msgpack.unpackb(data, strict_map_key=False)


def _write_msgpack(tree: Any) -> bytes:
    packed: bytes = msgpack.packb(tree, unicode_errors="surrogatepass")
    return packed


def _write_json(tree: Any) -> bytes:
    return json.dumps(tree, default=lambda value: value.hex()).encode()


_CODECS: dict[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "msgpack": (_read_msgpack, _write_msgpack),
    "json": (json.loads, _write_json),
}


def inputs(decoder: Decoder) -> st.SearchStrategy[bytes]:
    """Everything that a decoder is tried with."""
    found = [rubbish(), damaged(decoder.samples)]
    if decoder.kind in _CODECS:
        found += [rearranged(decoder)] * 2
    return st.one_of(found)
