"""Turns per second with a million messages queued for a routine, against a thousand.

The messages go round: each turn emits one to its own routine, so the queue keeps its length. Two hosts, of
which one is stopped by a signal while the other is measured.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from benchmarks.suite.alone import main
from benchmarks.suite.figure import Curve, Figure, Line, Measured, Run
from benchmarks.suite.hosts import one_host
from sojourn import Client
from tests.integration.hosting import Host

JOB = "ring"
PATIENCE = 600.0
SETTLE = 0.5
"""Seconds of work before a measurement, so that what was sent ahead is no longer of before the stop."""


class Sizes(msgspec.Struct, frozen=True):
    few: int = 1_000
    many: int = 1_000_000
    seconds: float = 2.0
    """Of work in a repetition."""


def measure(run: Run[Sizes]) -> Measured:
    sizes = run.sizes
    with ExitStack() as stack:
        few, many = (
            stack.enter_context(filled(run, name, count))
            for name, count in (("few", sizes.few), ("many", sizes.many))
        )
        run.say(f"{sizes.many:,} messages queued, and {sizes.few:,}")
        ours, beside = run.alternately(
            lambda _: speed(many, sizes.seconds), lambda _: speed(few, sizes.seconds)
        )
    what = f"turns with {sizes.many:,} messages queued"
    return Measured(
        [Line("turns", what, "turns/s", ours, f"with {sizes.few:,} queued", beside)],
        [Curve(
            "Growth", "messages queued", "turns/s", "median",
            [(sizes.few, sorted(beside)[len(beside) // 2]), (sizes.many, sorted(ours)[len(ours) // 2])],
            logarithmic=True,
        )],
    )


@contextmanager
def filled(run: Run[Sizes], name: str, count: int) -> Iterator[Host]:
    """Give a host whose job has so many messages going round, stopped."""
    with one_host(run.new_folder(name)) as host:
        with host.client() as client:
            run.say(f"queueing {count:,} messages")
            client.submit("spinning:seeded", job_id=JOB, n=count)
            client.wait(JOB, until="seed.succeeded >= 1", timeout=PATIENCE)
        os.kill(host.pid, signal.SIGSTOP)
        yield host


def speed(host: Host, seconds: float) -> float:
    """Let a host work for a while; give turns per second."""
    os.kill(host.pid, signal.SIGCONT)
    with host.client() as client:
        time.sleep(SETTLE)
        begun, before = time.perf_counter(), turns(client)
        time.sleep(seconds)
        done, ended = turns(client) - before, time.perf_counter()
    os.kill(host.pid, signal.SIGSTOP)
    return done / (ended - begun)


def turns(client: Client) -> int:
    """Count the turns of the ring so far."""
    found: int = client.show(JOB, history=1).serialize()["routines"]["spin"]["succeeded"]
    return found


FIGURE = Figure(
    "growth_messages", "Turns per second with a million messages queued",
    Sizes(), Sizes(few=50, many=200, seconds=0.2), measure,
)

if __name__ == "__main__":
    main(FIGURE)
