"""Durable turns per second of a three-routine linear flow, history kept, and the bare loop beside it.

``jobs``: thousands of jobs in flight, each one message through three routines; from before the submit until
the client has every document. ``messages``: the same from jobs that emit their messages themselves.
``one_job``: all messages in one job, from the end of the turn that emits them. Beside the speed stands the
processor time of a turn, summed over all processes of either: on a machine that has other work to do it
tells more than the clock.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from benchmarks.bare.loop import BareLoop
from benchmarks.suite import processor
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import one_host, take_jobs, take_messages

STAGES = 3
BARE = "bare loop"


class Sizes(msgspec.Struct, frozen=True):
    jobs: int = 5_000
    sources: int = 2_000
    each: int = 3
    messages: int = 20_000


class Clock:
    """Turns measured seconds into speeds, and notes the processor time that went into each turn.

    Args:
        pids: whose.
    """

    def __init__(self, pids: Callable[[], set[int]]) -> None:
        self._pids = pids
        self.processor: list[float] = []
        """Microseconds per turn."""

    def speed(self, turns: int, work: Callable[[], float]) -> float:
        """Give turns per second."""
        before = processor.seconds(self._pids())
        took = work()
        self.processor.append((processor.seconds(self._pids()) - before) / turns * 1e6)
        return turns / took


def measure(run: Run[Sizes]) -> Measured:
    sizes = run.sizes
    loop = BareLoop(run.new_folder("bare"), STAGES)
    one_row = BareLoop(run.new_folder("one-row"), STAGES, one_row=True)
    numbers = iter(range(1_000_000))
    try:
        with one_host(run.folder) as host, host.client() as client:
            client.wait_all(client.submit_many("linear:plain", [{"i": 0}] * 20))
            # this process is the client of the real one, which doesn't count, and the bare one's parent
            ours = Clock(lambda: processor.family(host.pid))
            bare = Clock(lambda: {os.getpid(), *loop.pids()})
            lines: list[Line] = []

            def pair(name: str, what: str, turns: int, work: Callable[[], float]) -> None:
                run.say(what)
                for clock in (ours, bare):
                    clock.processor.clear()
                real, beside = run.alternately(
                    lambda _: ours.speed(turns, work),
                    lambda _: bare.speed(turns, lambda: loop.run(next(numbers), turns // STAGES)),
                )
                lines.append(Line(name, what, "turns/s", real, BARE, beside))
                lines.append(Line(
                    f"{name}_processor", f"{what}: processor time of a turn", "µs", ours.processor[:],
                    BARE, bare.processor[:],
                ))

            pair("jobs", f"{sizes.jobs:,} jobs of one message", sizes.jobs * STAGES, lambda: take_jobs(
                client, "linear:plain", [{"i": n} for n in range(sizes.jobs)], STAGES,
            ))
            work = sizes.each * STAGES + 1
            pair("messages", f"{sizes.sources:,} jobs of {sizes.each} messages", sizes.sources * work,
                 lambda: take_jobs(
                     client, "linear:sourced", [{"n": sizes.each, "size": 0}] * sizes.sources, work,
                 ))
            pair("one_job", f"one job of {sizes.messages:,} messages", sizes.messages * STAGES,
                 lambda: take_messages(
                     client, "linear:sourced", sizes.messages * STAGES + 1, n=sizes.messages, size=0,
                 ))
        all_rows, single = run.alternately(
            lambda _: sizes.messages * STAGES / loop.run(next(numbers), sizes.messages),
            lambda _: sizes.messages * STAGES / one_row.run(next(numbers), sizes.messages),
        )
        lines.append(Line("bare", "the bare loop itself", "turns/s", all_rows, "one row per turn", single))
    finally:
        loop.close()
        one_row.close()
    return Measured(lines)


FIGURE = Figure(
    "turns", "Durable turns per second, three-routine linear flow",
    Sizes(), Sizes(jobs=30, sources=4, each=3, messages=60), measure,
)

if __name__ == "__main__":
    main(FIGURE)
