"""Memory: an idle supervisor, one forked actor process, and a supervisor with a million queued messages.

Resident memory of the supervisor (what ``ps`` shows); of an actor process what it has to itself (USS),
since the rest is its zygote's. The queue is filled once, whatever the repetitions. The limits are an
interpreter that has imported what a supervisor needs, and a process of the bare loop.
"""

from __future__ import annotations

import subprocess
import sys

import msgspec

from benchmarks.bare.loop import BareLoop
from benchmarks.flows.held import BEGUN
from benchmarks.suite import processor
from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import actor_pids, one_host, take_jobs

IMPORTS = (
    "import sys, zmq, msgpack, msgspec, sqlite3, structlog, psutil; print(flush=True); sys.stdin.read()"
)
PATIENCE = 600.0


class Sizes(msgspec.Struct, frozen=True):
    messages: int = 1_000_000
    bytes: int = 100


def measure(run: Run[Sizes]) -> Measured:
    sizes = run.sizes
    supervisors: list[float] = []
    actors: list[float] = []
    interpreters: list[float] = []
    stages: list[float] = []
    run.say("idle ones")
    for number in run.repetitions():
        folder = run.new_folder(str(number))
        with one_host(folder) as host, host.client() as client:
            supervisors.append(processor.resident(host.pid))
            interpreters.append(interpreter())
            take_jobs(client, "linear:once_0", [{"i": 0}], 1)
            (actor,) = actor_pids(host)
            actors.append(processor.unshared(actor))
        loop = BareLoop(folder, 1)
        (stage,) = loop.pids() - {loop.pid}
        stages.append(processor.unshared(stage))
        loop.close()
    run.say(f"{sizes.messages:,} queued messages")
    with (
        one_host(run.new_folder("queue"), **{BEGUN: str(run.folder / "begun")}) as host,
        host.client() as client,
    ):
        client.submit("held:filled", job_id="queue", n=sizes.messages, size=sizes.bytes)
        client.wait("queue", until="fill.succeeded >= 1", timeout=PATIENCE)
        queued = processor.resident(host.pid)
    return Measured([
        Line("supervisor", "an idle supervisor, resident", "MiB", supervisors,
             "an interpreter with its imports", interpreters),
        Line("actor", "one forked actor process, unshared", "MiB", actors,
             "a process of the bare loop", stages),
        Line("queued", f"a supervisor with {sizes.messages:,} queued messages of {sizes.bytes} bytes",
             "MiB", [queued]),
    ])


def interpreter() -> float:
    """Give the MiB of an interpreter that has imported what a supervisor needs."""
    with subprocess.Popen(
        [sys.executable, "-c", IMPORTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return processor.resident(process.pid)


FIGURE = Figure("memory", "Memory", Sizes(), Sizes(messages=100), measure)

if __name__ == "__main__":
    main(FIGURE)
