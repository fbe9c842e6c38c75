"""Damaged frames for sockets: as many as wanted, repeatable by their seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.fuzzing.mutations import CLAIMS, DEPTHS

DEEP = 20_000


def damaged_frames(seed: int, samples: Sequence[bytes]) -> Iterator[bytes]:
    """Give frames without end: random ones, and valid ones that were damaged."""
    draw = random.Random(seed)
    while True:
        match draw.randrange(6):
            case 0:
                yield draw.randbytes(draw.randrange(200))
            case 1:
                yield draw.choice(DEPTHS) * draw.choice((10, 1000, DEEP))
            case 2:
                yield draw.choice(samples)[: draw.randrange(4)] + draw.choice(CLAIMS)
            case _:
                frame = bytearray(draw.choice(samples))
                for _ in range(draw.randrange(1, 5)):
                    place = draw.randrange(len(frame) + 1)
                    frame[place : place + draw.randrange(5)] = draw.randbytes(draw.randrange(5))
                yield bytes(frame)
