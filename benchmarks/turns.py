"""Durable turns per second of a three-routine linear flow, and the bare loop in the same run for the ratio.

Run it with ``make bench``. The bare loop is what no engine could go below: ZeroMQ over ipc between one
parent and three processes, batches, and one SQLite transaction per round (WAL, synchronous=FULL)
that writes, per turn, the rows that the guarantees need: the message consumed, the message emitted, the
history entry. It knows no retries, no jobs, no flow. Both are measured alternately, several times;
figures are medians with their spread.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import zmq

from sojourn import Client

WINDOW = 512
STAGES = 3
Turns = list[tuple[int, bytes]]


# --- the bare loop ------------------------------------------------------------------------------


def bare_stage(endpoint: str, name: str) -> None:
    """A process that takes batches of messages and answers with batches of results."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.set(zmq.ROUTING_ID, name.encode())
    socket.connect(endpoint)
    socket.send(b"ready")
    decoder = msgspec.msgpack.Decoder(Turns)
    unpack = msgspec.msgpack.Decoder(dict[str, int])
    while True:
        frame = socket.recv()
        if not frame:
            return
        results: Turns = []
        for number, data in decoder.decode(frame):
            fields = unpack.decode(data)
            results.append((number, msgspec.msgpack.encode({"i": fields["i"] + 1})))
        socket.send(msgspec.msgpack.encode(results))


class BareLoop:
    """Parent of the bare loop: routes messages through the stages and commits each round."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "bare.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(
            "CREATE TABLE messages (job INTEGER, message INTEGER, stage INTEGER, data BLOB,"
            " PRIMARY KEY (job, message)) WITHOUT ROWID"
        )
        self._db.execute(
            "CREATE TABLE history (job INTEGER, sequence INTEGER, message INTEGER, stage INTEGER,"
            " attempt INTEGER, outcome INTEGER, started REAL, ended REAL,"
            " PRIMARY KEY (job, sequence)) WITHOUT ROWID"
        )
        endpoint = f"ipc://{folder}/bare.sock"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.set(zmq.SNDHWM, 0)
        self._router.set(zmq.RCVHWM, 0)
        self._router.bind(endpoint)
        self._processes = [
            multiprocessing.get_context("spawn").Process(target=bare_stage, args=(endpoint, str(n)))
            for n in range(STAGES)
        ]
        for process in self._processes:
            process.start()
        for _ in self._processes:
            self._router.recv_multipart()

    def run(self, job: int, count: int) -> float:
        """Take ``count`` messages through all stages; give turns per second."""
        begun = time.perf_counter()
        waiting: list[Turns] = [[(n, msgspec.msgpack.encode({"i": n})) for n in range(count)], [], []]
        out = [0] * STAGES
        self._next = count
        self._sequence = 0
        done = 0
        decoder = msgspec.msgpack.Decoder(Turns)
        self._commit(
            [(job, number, 0, data) for number, data in waiting[0]], [], []
        )
        while done < count * STAGES:
            for stage in range(STAGES):
                room = WINDOW - out[stage]
                if room > 0 and waiting[stage]:
                    batch, waiting[stage] = waiting[stage][:room], waiting[stage][room:]
                    out[stage] += len(batch)
                    self._router.send_multipart(
                        [str(stage).encode(), msgspec.msgpack.encode(batch)]
                    )
            put: list[tuple[int, int, int, bytes]] = []
            gone: list[tuple[int, int]] = []
            history: list[tuple[int, int, int, int, int, int, float, float]] = []
            self._router.poll()
            while True:
                try:
                    name, frame = self._router.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                stage = int(name)
                now = time.time()
                for number, data in decoder.decode(frame):
                    out[stage] -= 1
                    done += 1
                    gone.append((job, number))
                    self._sequence += 1
                    history.append((job, self._sequence, number, stage, 1, 0, now, now))
                    if stage + 1 < STAGES:
                        self._next += 1
                        put.append((job, self._next, stage + 1, data))
                        waiting[stage + 1].append((self._next, data))
            self._commit(put, gone, history)
        return count * STAGES / (time.perf_counter() - begun)

    def _commit(
        self,
        put: list[tuple[int, int, int, bytes]],
        gone: list[tuple[int, int]],
        history: list[tuple[int, int, int, int, int, int, float, float]],
    ) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO messages VALUES (?,?,?,?)", put)
        self._db.executemany("DELETE FROM messages WHERE job = ? AND message = ?", gone)
        self._db.executemany("INSERT INTO history VALUES (?,?,?,?,?,?,?,?)", history)
        self._db.execute("COMMIT")

    def close(self) -> None:
        """End its processes."""
        for n, process in enumerate(self._processes):
            self._router.send_multipart([str(n).encode(), b""])
            process.join()
        self._router.close(0)
        self._context.term()
        self._db.close()


# --- the real thing -----------------------------------------------------------------------------


class Supervisor:
    """A real supervisor, started through the command line."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "sojourn.hosts.cli", "up", "--home", str(self.home),
                "--name", "bench", "--path", str(Path(__file__).parent),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("SOJOURN_")},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready"):
            raise SystemExit("the supervisor didn't start")

    def run(self, job: str, count: int) -> float:
        """Run one job of ``count`` messages through the three routines; give turns per second."""
        with Client(self.home) as client:
            client.submit("linear_flow:flow", job_id=job, n=count)
            final = client.wait(job, timeout=600)
            if final.status != "completed":
                raise SystemExit(f"job {job} {final.status}: {final.error}")
            work = client.show(job, history=1, after=1).history[0]
            last = client.show(job, history=1).history[0]
        took = seconds_of(last["ended_at"]) - seconds_of(work["started_at"])
        return count * STAGES / took

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait()


def seconds_of(text: str) -> float:
    """Read a document's time."""
    from datetime import datetime  # noqa: PLC0415 - used here only

    return datetime.fromisoformat(text).timestamp()


def main() -> None:
    """Measure both, alternately, and print medians, spread and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000, help="per run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    bare: list[float] = []
    real: list[float] = []
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder:
        loop = BareLoop(Path(folder))
        supervisor = Supervisor(Path(folder))
        try:
            loop.run(0, 2000)
            supervisor.run("warm-up", 2000)
            for number in range(1, options.runs + 1):
                bare.append(loop.run(number, options.messages))
                real.append(supervisor.run(f"run-{number}", options.messages))
        finally:
            supervisor.close()
            loop.close()
    ratios = [one / other for one, other in zip(real, bare, strict=True)]
    figures = {
        "messages": options.messages,
        "turns": options.messages * STAGES,
        "runs": options.runs,
        "sojourn_turns_per_second": summary(real),
        "bare_turns_per_second": summary(bare),
        "ratio": summary(ratios),
    }
    if options.output == "json":
        print(json.dumps(figures, indent=2))
        return
    print(f"durable turns per second, {options.messages} messages through {STAGES} routines,")
    print(f"median of {options.runs} runs (lowest to highest):")
    for name, values in (("sojourn", real), ("bare loop", bare)):
        middle = statistics.median(values)
        print(f"  {name:10} {middle:10,.0f}   ({min(values):,.0f} to {max(values):,.0f})")
    print(f"  ratio      {statistics.median(ratios):10.2f}   ({min(ratios):.2f} to {max(ratios):.2f})")


def summary(values: list[float]) -> dict[str, float]:
    """Give median and spread."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


if __name__ == "__main__":
    main()
