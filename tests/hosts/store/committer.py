"""A process that commits rounds to a store and says each number once it is acknowledged, until it ends.

Arguments: the store's file; then, optionally, how many bytes a file of this process may have from the
hundredth round on (the disk is full for it then).
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.runtime.errors import StoreFailed
from sojourn.runtime.job import HistoryRow, JobHead, JobStatus, MessageRow, Origin, Writes

ROWS = 200
"""Turns in a round: each consumes a message, puts another and writes an entry."""
JOB = 1


def round_writes(number: int) -> Writes:
    """Make round ``number``, from 0: the first one only puts messages."""
    writes = Writes()
    if number == 0:
        writes.flows_put["flow"] = b"flow"
        writes.origins_put[1] = Origin("a", 1, "code")
        writes.heads[JOB] = JobHead(
            "job", "instance", "flow", "flow", 1, JobStatus.RUNNING, 1.0, b"\x80"
        )
    first = number * ROWS
    for message in range(first + 1, first + ROWS + 1):
        writes.messages_put.append(MessageRow(JOB, message, "load", "page", b"x" * 40, 0, 0, 0.0, None))
        if number:
            done = message - ROWS
            writes.messages_deleted.append((JOB, done))
            writes.history.append(
                HistoryRow(JOB, done, done, "load", "page", 1, 0, 1, 0, 1, 1.0, 2.0, None)
            )
    return writes


def main(path: Path, limit: int | None) -> int:
    """Commit until killed, or until the store fails."""
    store = SqliteStore.open(path, clock=time.time)
    number = 0
    try:
        while True:
            if limit is not None and number == 100:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            store.commit(round_writes(number))
            print(number, flush=True)
            number += 1
    except StoreFailed as error:
        print(error.message, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
