"""The stream of a hand-off: all arrives once and in order, and neither side holds more than a window."""

from __future__ import annotations

import os
import random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sojourn.runtime.handoff.stream import IncomingStream, OutgoingStream, Piece, cut
from sojourn.runtime.wire.handoff import CHUNK_BYTES, WINDOW_BYTES, Chunk, Credit


@given(st.integers(0, 5), st.booleans())
def test_cutting_loses_nothing_and_marks_the_end(chunks: int, rest: bool) -> None:
    data = os.urandom(16) * (CHUNK_BYTES // 16 * chunks // 1) + (b"rest" if rest else b"")
    pieces = cut(data, "blob")
    assert b"".join(piece.data for piece in pieces) == data
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert all(len(piece.data) <= CHUNK_BYTES for piece in pieces)


@given(st.integers(0, 2**32), st.floats(0.0, 0.6))
def test_over_a_lossy_link_everything_arrives_once_and_in_order(seed: int, loss: float) -> None:
    chance = random.Random(seed)
    wanted = [
        Piece(bytes([n % 256]) * chance.randrange(2000), None if chance.random() < 0.5 else "blob", True)
        for n in range(chance.randrange(1, 40))
    ]
    sender, receiver = OutgoingStream("m"), IncomingStream()
    arrived: list[Piece] = []
    left = list(wanted)
    on_the_way: list[Chunk] = []
    while left or not sender.empty:
        batch, left = left[:3], left[3:]
        on_the_way.extend(sender.add(batch))
        for chunk in on_the_way:
            if chance.random() >= loss:
                piece = receiver.take(chunk)
                if piece is not None:
                    arrived.append(piece)
        on_the_way = []
        if chance.random() >= loss:
            sender.credited(Credit("m", receiver.next, WINDOW_BYTES))
        on_the_way.extend(sender.repeat())
    assert arrived == wanted
    assert sender.digest() == receiver.digest()
    assert sender.bytes_acked == sender.bytes_sent == sum(len(piece.data) for piece in wanted)


def test_room_is_what_the_receiver_takes_less_what_is_on_its_way() -> None:
    stream = OutgoingStream("m")
    assert stream.room == WINDOW_BYTES
    stream.add(cut(bytes(3 * CHUNK_BYTES)))
    assert stream.room == WINDOW_BYTES - 3 * CHUNK_BYTES
    assert stream.credited(Credit("m", 1, WINDOW_BYTES))
    assert stream.room == WINDOW_BYTES - 2 * CHUNK_BYTES
    assert not stream.credited(Credit("m", 1, CHUNK_BYTES)), "nothing more arrived"
    assert stream.room == 0
    assert [chunk.n for chunk in stream.repeat()] == [1, 2]


def test_a_receiver_that_promises_too_much_is_not_believed() -> None:
    stream = OutgoingStream("m")
    stream.credited(Credit("m", 10**9, 10**12))
    assert stream.room == WINDOW_BYTES


def test_chunks_are_packed_where_that_pays() -> None:
    stream = OutgoingStream("m")
    (text,) = stream.add([Piece(b"the same words again and again. " * 1000, None, True)])
    (noise,) = stream.add([Piece(os.urandom(32_000), None, True)])
    assert text.packed
    assert len(text.data) < 1000
    assert not noise.packed


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk("m", 0, bytes(CHUNK_BYTES + 1)),
        Chunk("m", 0, b"no zstd frame", packed=True),
        Chunk("m", 0, zstandard.compress(bytes(50 * CHUNK_BYTES)), packed=True),
        Chunk("m", 0, b"", packed=True),
    ],
    ids=["too large", "not packed", "a bomb", "empty"],
)
def test_a_chunk_that_cannot_be_is_refused(chunk: Chunk) -> None:
    with pytest.raises(ValueError, match="chunk 0"):
        IncomingStream().take(chunk)
