"""The bare loop: what no engine could go below, for the ratios of everything that takes turns.

ZeroMQ over ipc between one parent and the processes of some stages, batches both ways, and one SQLite
transaction per round with the store's own settings (WAL, synchronous=FULL). Per turn it writes the rows
that the guarantees need: the message consumed, the message emitted, the history entry (which message,
where, which attempt, how it ended, by which code, from when to when). Messages go out once they are on disk
(G1). It knows no retries, no recall, no shared state, runs one job at a time, and passes values on
without a look at them. ``one_row`` writes one row per turn instead, which no guarantee could live on.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import zmq

from benchmarks.suite import processor
from sojourn.hosts.store.schema import SETTINGS

WINDOW = 512
"""Messages that a process is sent ahead: as many as a supervisor sends."""
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


def open_database(path: Path, tables: str) -> sqlite3.Connection:
    """Make a database as durable as the store's."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    for pragma, value in SETTINGS.items():
        database.execute(f"PRAGMA {pragma} = {value}")
    database.executescript(tables)
    return database


class BareLoop:
    """The parent: routes messages through the stages and commits each round.

    Args:
        folder: for its database and its socket.
        stages: how many each message goes through.
        processes: of each stage.
        window: messages that a process is sent ahead.
        one_row: whether a turn is one row, written at its end.
    """

    def __init__(
        self, folder: Path, stages: int = 3, *, processes: int = 1, window: int = WINDOW,
        one_row: bool = False,
    ) -> None:
        self.stages = stages
        self._window = window
        self._one_row = one_row
        self._db = open_database(folder / "bare.db", _TABLES)
        endpoint = f"ipc://{folder}/bare.sock"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.set(zmq.SNDHWM, 0)
        self._router.set(zmq.RCVHWM, 0)
        self._router.bind(endpoint)
        self._names = [
            [f"{stage}.{number}".encode() for number in range(processes)] for stage in range(stages)
        ]
        everyone = [name.decode() for names in self._names for name in names]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare.stages", endpoint, *everyone]
        )
        for _ in everyone:
            self._router.recv_multipart()

    @property
    def pid(self) -> int:
        """Give the process that the stages are forks of."""
        return self._process.pid

    def pids(self) -> set[int]:
        """Give its processes but this one."""
        return processor.family(self._process.pid)

    def run(self, job: int, count: int, data: bytes = b"\x81\xa1i\x01") -> float:
        """Take messages through all stages.

        Args:
            job: number that no run had before.
            count: how many messages.
            data: of each.

        Returns:
            Seconds, from before the first commit until after the last.
        """
        begun = time.perf_counter()
        first = [(number, data) for number in range(count)]
        self._commit([(job, number, 0, data) for number, data in first], [], [])
        self._work(job, [first, *([] for _ in range(self.stages - 1))])
        took = time.perf_counter() - begun
        self._check(job, count)
        return took

    def _work(self, job: int, waiting: list[Turns]) -> None:
        out = {name: 0 for names in self._names for name in names}
        stage_of = {name: stage for stage, names in enumerate(self._names) for name in names}
        next_number = len(waiting[0])
        sequence = 0
        decoder = msgspec.msgpack.Decoder(Turns)
        last = self.stages - 1
        left = len(waiting[0]) * self.stages
        while left:
            for name, stage in stage_of.items():
                room = self._window - out[name]
                if room > 0 and waiting[stage]:
                    batch, waiting[stage] = waiting[stage][:room], waiting[stage][room:]
                    out[name] += len(batch)
                    self._router.send_multipart([name, msgspec.msgpack.encode(batch)])
            put: list[MessageRow] = []
            gone: list[tuple[int, int]] = []
            history: list[HistoryRow] = []
            self._router.poll()
            for name, frame in self._received():
                stage = stage_of[name]
                now = time.time()
                for number, data in decoder.decode(frame):
                    out[name] -= 1
                    left -= 1
                    sequence += 1
                    gone.append((job, number))
                    history.append((job, sequence, number, stage, 1, 0, 1, now, now))
                    if stage < last:
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
        if not self._one_row:
            self._db.executemany("INSERT INTO messages VALUES (?,?,?,?)", put)
            self._db.executemany("DELETE FROM messages WHERE job = ? AND message = ?", gone)
        self._db.executemany("INSERT INTO history VALUES (?,?,?,?,?,?,?,?,?)", history)
        self._db.execute("COMMIT")

    def _check(self, job: int, count: int) -> None:
        """See that everything that was measured really lies in the file."""
        left: int = self._db.execute("SELECT count(*) FROM messages WHERE job = ?", (job,)).fetchone()[0]
        kept: int = self._db.execute("SELECT count(*) FROM history WHERE job = ?", (job,)).fetchone()[0]
        if left or kept != count * self.stages:
            raise SystemExit(f"the bare loop left {left} messages and recorded {kept} turns")

    def close(self) -> None:
        """End its processes."""
        for names in self._names:
            for name in names:
                self._router.send_multipart([name, b""])
        self._process.wait()
        self._router.close()
        self._context.term()
        self._db.close()
