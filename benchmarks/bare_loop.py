"""The bare loop: what no engine could go below, for the ratio of ``turns.py``.

ZeroMQ over ipc between one parent and three processes, batches both ways, and one SQLite transaction
per round with the store's own settings (WAL, synchronous=FULL). Per turn it writes the rows that the
guarantees need: the message consumed, the message emitted, the history entry (which message, where,
which attempt, how it ended, by which code, from when to when). Messages go out once they are on disk
(G1). It knows no retries, no recall, no shared state, and runs one job at a time. A stage has no
attributes here and none in the flow that it is compared with, so neither writes any.
"""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time
from pathlib import Path

import msgspec
import zmq

from sojourn.hosts.store.schema import SETTINGS

WINDOW = 512
"""Messages that a stage is sent ahead: as many as a supervisor sends."""
STAGES = 3
Turns = list[tuple[int, bytes]]
"""(number, data): the same shape for messages that go out and results that come back."""

MessageRow = tuple[int, int, int, bytes]
HistoryRow = tuple[int, int, int, int, int, int, int, float, float]
_TABLES = """
CREATE TABLE messages (
    job INTEGER NOT NULL, message INTEGER NOT NULL, stage INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (job, message)
) WITHOUT ROWID;
CREATE TABLE history (
    job INTEGER NOT NULL, sequence INTEGER NOT NULL, message INTEGER NOT NULL, stage INTEGER NOT NULL,
    attempt INTEGER NOT NULL, outcome INTEGER NOT NULL, origin INTEGER NOT NULL,
    started REAL NOT NULL, ended REAL NOT NULL, PRIMARY KEY (job, sequence)
) WITHOUT ROWID;
"""


def run_stage(endpoint: str, name: str) -> None:
    """Take batches of messages and answer with batches of results, until an empty frame comes."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.set(zmq.ROUTING_ID, name.encode())
    socket.connect(endpoint)
    socket.send(b"ready")
    batch = msgspec.msgpack.Decoder(Turns)
    fields = msgspec.msgpack.Decoder(dict[str, int])
    encode = msgspec.msgpack.encode
    while frame := socket.recv():
        socket.send(
            encode([
                (number, encode({"i": fields.decode(data)["i"] + 1}))
                for number, data in batch.decode(frame)
            ])
        )
    socket.close()
    context.term()


class BareLoop:
    """The parent: routes messages through the stages and commits each round.

    Args:
        folder: for its database and its socket.
    """

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "bare.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        for pragma, value in SETTINGS.items():
            self._db.execute(f"PRAGMA {pragma} = {value}")
        self._db.executescript(_TABLES)
        endpoint = f"ipc://{folder}/bare.sock"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.set(zmq.SNDHWM, 0)
        self._router.set(zmq.RCVHWM, 0)
        self._router.bind(endpoint)
        self._processes = [
            multiprocessing.get_context("spawn").Process(target=run_stage, args=(endpoint, str(n)))
            for n in range(STAGES)
        ]
        for process in self._processes:
            process.start()
        for _ in self._processes:
            self._router.recv_multipart()

    def pids(self) -> set[int]:
        """Give its processes, this one included."""
        return {os.getpid(), *(process.pid for process in self._processes if process.pid is not None)}

    def durability(self) -> dict[str, str]:
        """Read back how durable it is."""
        synchronous: int = self._db.execute("PRAGMA synchronous").fetchone()[0]
        mode: str = self._db.execute("PRAGMA journal_mode").fetchone()[0]
        names = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
        return {"journal_mode": mode, "synchronous": names[synchronous]}

    def run(self, job: int, count: int) -> float:
        """Take ``count`` messages through all stages.

        Returns:
            Turns per second, from before the first commit until after the last.
        """
        begun = time.perf_counter()
        first = [(number, msgspec.msgpack.encode({"i": number})) for number in range(count)]
        self._commit([(job, number, 0, data) for number, data in first], [], [])
        self._work(job, [first, *([] for _ in range(STAGES - 1))])
        took = time.perf_counter() - begun
        self._check(job, count)
        return count * STAGES / took

    def _work(self, job: int, waiting: list[Turns]) -> None:
        out = [0] * STAGES
        next_number = len(waiting[0])
        sequence = 0
        decoder = msgspec.msgpack.Decoder(Turns)
        while any(out) or any(waiting):
            for stage in range(STAGES):
                room = WINDOW - out[stage]
                if room > 0 and waiting[stage]:
                    batch, waiting[stage] = waiting[stage][:room], waiting[stage][room:]
                    out[stage] += len(batch)
                    self._router.send_multipart([str(stage).encode(), msgspec.msgpack.encode(batch)])
            put: list[MessageRow] = []
            gone: list[tuple[int, int]] = []
            history: list[HistoryRow] = []
            self._router.poll()
            for name, frame in self._received():
                stage = int(name)
                now = time.time()
                for number, data in decoder.decode(frame):
                    out[stage] -= 1
                    sequence += 1
                    gone.append((job, number))
                    history.append((job, sequence, number, stage, 1, 0, 1, now, now))
                    if stage + 1 < STAGES:
                        put.append((job, next_number, stage + 1, data))
                        waiting[stage + 1].append((next_number, data))
                        next_number += 1
            self._commit(put, gone, history)

    def _received(self) -> list[list[bytes]]:
        frames: list[list[bytes]] = []
        while True:
            try:
                frames.append(self._router.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return frames

    def _commit(
        self, put: list[MessageRow], gone: list[tuple[int, int]], history: list[HistoryRow]
    ) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO messages VALUES (?,?,?,?)", put)
        self._db.executemany("DELETE FROM messages WHERE job = ? AND message = ?", gone)
        self._db.executemany("INSERT INTO history VALUES (?,?,?,?,?,?,?,?,?)", history)
        self._db.execute("COMMIT")

    def _check(self, job: int, count: int) -> None:
        """See that everything that was measured really lies in the file."""
        left: int = self._db.execute("SELECT count(*) FROM messages WHERE job = ?", (job,)).fetchone()[0]
        kept: int = self._db.execute("SELECT count(*) FROM history WHERE job = ?", (job,)).fetchone()[0]
        if left or kept != count * STAGES:
            raise SystemExit(f"the bare loop left {left} messages and recorded {kept} turns")

    def close(self) -> None:
        """End its processes."""
        for n, process in enumerate(self._processes):
            self._router.send_multipart([str(n).encode(), b""])
            process.join()
        self._router.close()
        self._context.term()
        self._db.close()
