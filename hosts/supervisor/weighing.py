"""What a move is estimated by: how much a job weighs, how much it changes, how long a write takes.

Row weights are estimates: values count in full, a row of history or log as ``ROW_BYTES``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from sojourn.runtime.engine.inputs import Now
from sojourn.runtime.engine.model import Job
from sojourn.runtime.errors import HostUnable
from sojourn.runtime.handoff.parts import ROW_BYTES
from sojourn.runtime.job import Writes

PAGE = bytes(4096)


def rows_weight(job: Job, log_lines: int) -> int:
    """Estimate the bytes of a job's rows, its blobs not counted.

    Args:
        job: the job, in memory.
        log_lines: how many lines its log has.
    """
    rows = len(job.questions) + job.next_sequence - 1 + log_lines + job.pending()
    size = sum(len(message.data) + len(message.progress or b"") for message in job.messages.values())
    for actor in job.actors.values():
        rows += len(actor.attributes)
        size += sum(map(len, actor.attributes.values())) + actor.stored_bytes
    rows += len(job.shared)
    return rows * ROW_BYTES + size + sum(map(len, job.shared.values()))


def change_weight(writes: Writes, row: int) -> int:
    """Estimate the bytes of what a committed round changed of a job."""
    rows = sum(entry.job == row for entry in writes.history)
    rows += sum(change[4] == row for change in writes.messages_changed)
    rows += sum(job == row for job, _ in writes.messages_deleted)
    size = sum(len(change[3] or b"") for change in writes.messages_changed if change[4] == row)
    sizes = [len(put.data) for put in writes.messages_put if put.job == row]
    sizes.extend(len(value or b"") for key, value in writes.attributes.items() if key[0] == row)
    sizes.extend(len(value or b"") for key, value in writes.shared.items() if key[0] == row)
    sizes.extend(len(line.text) for line in writes.logs if line.job == row)
    sizes.extend(blob.size for blob in writes.blobs_put if blob.job == row)
    return (rows + len(sizes)) * ROW_BYTES + size + sum(sizes)


def measure_fsync(folder: Path, read_clocks: Callable[[], Now]) -> float:
    """Measure how long a small durable write takes, in seconds.

    Args:
        folder: where the write goes; nothing of it stays.
        read_clocks: tells the time.

    Raises:
        HostUnable: if nothing can be written there.
    """
    begun = read_clocks().monotonic
    try:
        with tempfile.NamedTemporaryFile(prefix=".probe-", dir=folder) as file:
            file.write(PAGE)
            file.flush()
            os.fdatasync(file.fileno())
            return read_clocks().monotonic - begun
    except OSError as error:
        raise HostUnable(f"{folder} can't be written ({error.strerror}): make room there") from error
