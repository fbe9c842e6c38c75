"""Turns per second with ten thousand jobs of a hundred flows: while they all run, and while they all wait.

Running, they are held against as many jobs of one flow; waiting, the same work beside them is held against
that on a host which has no other job.
"""

from __future__ import annotations

import time

import msgspec

from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import PATIENCE, check, one_host, take_messages
from sojourn import Client

STAGES = 3


class Sizes(msgspec.Struct, frozen=True):
    jobs: int = 10_000
    flows: int = 100
    rounds: int = 2
    """Turns of a running job."""

    messages: int = 5_000
    """Of the job that runs beside those that wait."""


def measure(run: Run[Sizes]) -> Measured:
    sizes = run.sizes
    called = f"{sizes.jobs:,} jobs of {sizes.flows} flows"
    with one_host(run.new_folder("running")) as host, host.client() as client:
        run.say(f"{called}, running")
        turns = sizes.jobs * sizes.rounds
        crowd(client, "spinning:ring_", sizes.flows, sizes.flows, 0)
        running = run.alternately(
            lambda _: turns / crowd(client, "spinning:ring_", sizes.jobs, sizes.flows, sizes.rounds - 1),
            lambda _: turns / crowd(client, "spinning:ring_", sizes.jobs, 1, sizes.rounds - 1),
        )
    with (
        one_host(run.new_folder("waiting")) as full, full.client() as crowded,
        one_host(run.new_folder("empty")) as empty, empty.client() as alone,
    ):
        run.say(f"{called}, waiting")
        ids = submit(crowded, "waiting:small_", sizes.jobs, sizes.flows, 0)
        for job in ids:
            crowded.wait(job, until="wait.retry_count >= 1", timeout=PATIENCE)
        for client in (crowded, alone):
            work(client, 5)
        waiting = run.alternately(
            lambda _: work(crowded, sizes.messages), lambda _: work(alone, sizes.messages)
        )
    return Measured([
        Line("running", f"{called}, running", "turns/s", running[0], "as many of one flow", running[1]),
        Line("waiting", f"one job while {called} wait", "turns/s", waiting[0], "no other job", waiting[1]),
    ])


def submit(client: Client, flow: str, jobs: int, flows: int, i: int) -> list[str]:
    """Submit jobs, spread over flows that are named by numbers."""
    ids: list[str] = []
    for number in range(flows):
        share = jobs // flows + (number < jobs % flows)
        ids += client.submit_many(f"{flow}{number}", [{"i": i}] * share)
    return ids


def crowd(client: Client, flow: str, jobs: int, flows: int, i: int) -> float:
    """Take jobs whose message goes round ``i`` times; give the seconds."""
    begun = time.perf_counter()
    ended = client.wait_all(submit(client, flow, jobs, flows, i), timeout=PATIENCE)
    took = time.perf_counter() - begun
    for job in ended:
        check(job, i + 1)
    return took


def work(client: Client, messages: int) -> float:
    """Take one job of the linear flow; give turns per second."""
    turns = messages * STAGES
    return turns / take_messages(client, "linear:sourced", turns + 1, n=messages, size=0)


FIGURE = Figure(
    "growth_jobs", "Turns per second with 10,000 jobs and 100 flows",
    Sizes(), Sizes(jobs=9, flows=3, rounds=2, messages=10), measure,
)

if __name__ == "__main__":
    main(FIGURE)
