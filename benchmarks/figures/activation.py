"""From the demand for an actor process to its first turn, with a zygote that has the code loaded.

Each job is of a flow that no process runs yet. By the host's clock: from the job's creation to the start of
its first attempt. The limit is a bare fork, its ZeroMQ connection and its hello.
"""

from __future__ import annotations

import statistics

import msgspec

from benchmarks.bare.forks import BareZygote
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Curve, Figure, Line, Measured, Run
from benchmarks.suite.hosts import between, check, one_host
from benchmarks.suite.verdicts import distribution
from sojourn import Client


class Sizes(msgspec.Struct, frozen=True):
    processes: int = 20
    """In a repetition."""


def measure(run: Run[Sizes]) -> Measured:
    count = run.sizes.processes
    ours: list[list[float]] = []
    bare: list[list[float]] = []
    zygote = BareZygote(run.folder)
    try:
        with one_host(run.folder) as host, host.client() as client:
            first_turn(client, 0)
            run.say(f"{count} processes, one after another")
            for number in run.repetitions():
                bare.append([zygote.fork() * 1000 for _ in range(count)])
                ours.append([first_turn(client, number * count + n) for n in range(count)])
    finally:
        zygote.close()
    return Measured(
        [Line("first_turn", "demand to first turn of a new process, median", "ms",
              list(map(statistics.median, ours)), "bare fork + connect + hello",
              list(map(statistics.median, bare)))],
        [
            Curve("A new actor process", "ms", "share of the processes", label,
                  distribution([taken for one in found for taken in one]))
            for label, found in (("Sojourn", ours), ("bare fork + connect + hello", bare))
        ],
    )


def first_turn(client: Client, number: int) -> float:
    """Take a job of a flow that has no process; give the milliseconds until its first turn began."""
    job = client.submit(f"linear:once_{number}", i=0)
    check(client.wait(job), 1)
    document = client.show(job)
    return between(document.serialize()["created_at"], document.history[0]["started_at"]) * 1000


FIGURE = Figure(
    "activation", "Demand to first turn of an actor process", Sizes(), Sizes(processes=2), measure
)

if __name__ == "__main__":
    main(FIGURE)
