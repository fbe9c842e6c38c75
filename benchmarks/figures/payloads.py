"""Turns per second of the linear flow with payloads: 1 KiB, 64 KiB, and just above, where values are files.

64 KiB counts the value's encoding: the largest that travels as a row. The bare loop carries the same bytes
in rows, the larger ones too: it has no files.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from benchmarks.bare.loop import BareLoop
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Curve, Figure, Line, Measured, Run
from benchmarks.suite.hosts import one_host, take_messages
from sojourn import Client

STAGES = 3
PAYLOADS = {"1KiB": (1024, "1 KiB"), "64KiB": (65_520, "64 KiB"), "blob": (69_632, "68 KiB (blobs)")}
"""Bytes, and what people call them."""


class Sizes(msgspec.Struct, frozen=True):
    small: int = 5_000
    large: int = 400
    blobs: int = 100


def measure(run: Run[Sizes]) -> Measured:
    counts = (run.sizes.small, run.sizes.large, run.sizes.blobs)
    loop = BareLoop(run.new_folder("bare"), STAGES)
    numbers = iter(range(1_000_000))
    try:
        with one_host(run.folder) as host, host.client() as client:
            take_messages(client, "linear:sourced", 4, n=1, size=0)
            lines = [
                carry(run, client, lambda n, data: loop.run(next(numbers), n, data), name, count)
                for name, count in zip(PAYLOADS, counts, strict=True)
            ]
    finally:
        loop.close()
    return Measured(lines, curves(lines))


def carry(
    run: Run[Sizes], client: Client, bare: Callable[[int, bytes], float], name: str, count: int
) -> Line:
    """Measure one payload; ``bare`` takes messages of some data through the loop and gives seconds."""
    size, called = PAYLOADS[name]
    turns, data = count * STAGES, bytes(size)
    run.say(f"{count:,} messages of {called}")
    ours, beside = run.alternately(
        lambda _: turns / take_messages(client, "linear:sourced", turns + 1, n=count, size=size),
        lambda _: turns / bare(count, data),
    )
    return Line(name, f"payloads of {called}, {count:,} messages", "turns/s", ours, "bare loop", beside)


def curves(lines: list[Line]) -> list[Curve]:
    """Draw megabytes per second over the size of a payload."""
    sides = {"Sojourn": [line.ours for line in lines], "bare loop": [line.beside for line in lines]}
    return [
        Curve(
            "Payloads", "payload, KiB", "MB/s through the routines", label,
            [
                (size / 1024, sorted(speeds)[len(speeds) // 2] * size / 1e6)
                for (size, _), speeds in zip(PAYLOADS.values(), found, strict=True)
            ],
            logarithmic=True,
        )
        for label, found in sides.items()
    ]


FIGURE = Figure(
    "payloads", "Turns per second with payloads", Sizes(), Sizes(small=20, large=5, blobs=3), measure
)

if __name__ == "__main__":
    main(FIGURE)
