"""How much of the cores is left to handlers that use the processor for 1 ms and for 100 ms.

In many jobs at once and in one parallel routine, with a process per core. Ours and the limit are the
handlers' own processor time by what the cores had to give meanwhile; the limit is one process per core
that does nothing else, which other work on the machine disturbs just the same.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from benchmarks.bare.burners import Burners
from benchmarks.flows.burning import CORES
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import one_host, take_jobs, take_messages


class Sizes(msgspec.Struct, frozen=True):
    seconds: float = 2.0
    """How long all handlers of a repetition together keep the cores busy."""


def measure(run: Run[Sizes]) -> Measured:
    burners = Burners(CORES)
    try:
        with one_host(run.folder) as host, host.client() as client:

            def many(count: int, each: float) -> float:
                return take_jobs(client, "burning:many", [{"seconds": each}] * count, 1)

            def parallel(count: int, each: float) -> float:
                return take_messages(client, "burning:parallel", count + 1, n=count, seconds=each)

            lines: list[Line] = []
            for name, called, work in (
                ("many", "many jobs", many), ("parallel", "one parallel routine", parallel),
            ):
                work(4 * CORES, 0.01)
                lines.extend(
                    shares(run, work, burners, f"{name}_{millis}ms", called, millis) for millis in (1, 100)
                )
    finally:
        burners.close()
    return Measured(lines)


def shares(
    run: Run[Sizes], work: Callable[[int, float], float], burners: Burners, name: str, called: str,
    millis: int,
) -> Line:
    """Measure one way with handlers of one length; ``work`` gives the seconds of so many of so long."""
    each = millis / 1000
    count = max(CORES, round(run.sizes.seconds * CORES / each))
    run.say(f"{count} handlers of {millis} ms in {called}")

    def share(took: float) -> float:
        return 100 * count * each / (took * CORES)

    ours, beside = run.alternately(
        lambda _: share(work(count, each)), lambda _: share(burners.run(count, each))
    )
    what = f"handlers of {millis} ms in {called}"
    return Line(name, what, "% of the cores", ours, "bare processes", beside)


FIGURE = Figure(
    "handlers", "Processor time left to handlers", Sizes(), Sizes(seconds=0.02), measure
)

if __name__ == "__main__":
    main(FIGURE)
