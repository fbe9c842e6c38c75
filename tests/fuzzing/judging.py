"""How one try of a decoder is judged: refused in the documented way or taken, quickly, within memory."""

from __future__ import annotations

import time
import tracemalloc

from tests.fuzzing.decoders import Decoder

SECONDS = 5.0
"""Processor time that no input of these sizes may take, on a busy machine either."""

SPARE = 8 * 1024 * 1024
"""Bytes that a decoder may take beside a multiple of its input."""

PER_BYTE = 50
"""A byte may become an object."""


def judge(decoder: Decoder, data: bytes) -> bool:
    """Try a decoder; tell whether it took the input.

    Raises:
        AssertionError: if it raised what it isn't documented to, took too long, or what it took doesn't
            encode to bytes that decode to the same.
    """
    begun = time.process_time()
    try:
        value = decoder.decode(data)
    except decoder.refusals:
        taken = False
    except Exception as error:
        raise AssertionError(f"{decoder.name}: {type(error).__name__}: {error}") from error
    else:
        taken = True
        if decoder.encode is not None:
            again = decoder.encode(value)
            assert decoder.encode(decoder.decode(again)) == again, f"{decoder.name}: not what was encoded"
    spent = time.process_time() - begun
    assert spent < SECONDS, f"{decoder.name}: {spent:.1f} s for {len(data)} bytes"
    return taken


def judge_memory(decoder: Decoder, data: bytes) -> None:
    """Try a decoder as ``judge`` does, and see how much memory it takes at most.

    Raises:
        AssertionError: if that is more than the input accounts for.
    """
    tracemalloc.start()
    try:
        judge(decoder, data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < SPARE + PER_BYTE * len(data), f"{decoder.name}: {peak} bytes for {len(data)}"
