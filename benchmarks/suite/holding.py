"""Jobs that hold large values, made on a host and thrown away again."""

from __future__ import annotations

from sojourn import Client

BLOB = 1_000_000
"""Bytes of each value: well above the size from which a value is a file of its own."""

_PATIENCE = 300.0


def hold(client: Client, megabytes: int) -> str:
    """Make a job that holds so many megabytes of random bytes, and wait until it has nothing to do."""
    job = client.submit("waiting:large", parts=megabytes, size=BLOB)
    client.wait(job, until="wait.retry_count >= 1", timeout=_PATIENCE)
    return job


def finish(client: Client, job: str) -> None:
    """End a job and forget it, so that its values don't fill the disk."""
    client.cancel(job)
    client.forget(job)
