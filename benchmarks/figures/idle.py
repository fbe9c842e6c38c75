"""What a host costs while a thousand of its jobs wait for their retries: processor time, and wake-ups.

All processes of the host count. Its limit is nothing at all; beside it the same of a host without jobs, not
as a ratio, since that may well be nothing.
"""

from __future__ import annotations

import time

import msgspec

from benchmarks.suite import processor
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import PATIENCE, one_host
from tests.integration.hosting import Host


class Sizes(msgspec.Struct, frozen=True):
    jobs: int = 1_000
    seconds: float = 4.0
    """Of each look."""


def measure(run: Run[Sizes]) -> Measured:
    jobs, seconds = run.sizes.jobs, run.sizes.seconds
    with (
        one_host(run.new_folder("empty")) as empty, one_host(run.new_folder("full")) as host,
        host.client() as client,
    ):
        ids = client.submit_many("waiting:small", [{"i": 0}] * jobs)
        for job in ids:
            client.wait(job, until="wait.retry_count >= 1", timeout=PATIENCE)
        run.say(f"{run.runs} looks of {seconds:g} s")
        looks = [look((host, empty), seconds) for _ in range(run.runs)]
    names = {"": f"with {jobs:,} waiting jobs", "empty_": "without jobs"}
    lines: list[Line] = []
    for place, (name, called) in enumerate(names.items()):
        used, woken = ([pair[kind][place] for pair in looks] for kind in (0, 1))
        lines.append(Line(f"{name}processor", f"a host {called}", "% of a core", used))
        lines.append(Line(f"{name}wakeups", f"the supervisor of a host {called}", "wake-ups/s", woken))
    return Measured(lines)


def look(hosts: tuple[Host, Host], seconds: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Watch two hosts for a while; give the percentage of a core and the wake-ups per second of each."""
    families = [processor.family(host.pid) for host in hosts]
    used = [processor.seconds(family) for family in families]
    woken = [processor.wakeups(host.pid) for host in hosts]
    time.sleep(seconds)
    shares = [(processor.seconds(family) - before) / seconds * 100
              for family, before in zip(families, used, strict=True)]
    rates = [(processor.wakeups(host.pid) - before) / seconds
             for host, before in zip(hosts, woken, strict=True)]
    return (shares[0], shares[1]), (rates[0], rates[1])


FIGURE = Figure(
    "idle", "Idle cost of a thousand waiting jobs", Sizes(), Sizes(jobs=5, seconds=0.2), measure
)

if __name__ == "__main__":
    main(FIGURE)
