"""Real supervisors for figures, and work for them: through the command line and the public client.

They are those of the integration tests, in the folder of a run; killed at the end, whatever they do then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sojourn import Client, JobState
from tests.integration.hosting import Host, pair_hosts, seconds_of

FLOWS = Path(__file__).parents[1] / "flows"
ACTOR = "sojourn-actor"
"""How the title of an actor process begins."""

PATIENCE = 900.0
"""Seconds that work may take before something must be broken."""


def host(folder: Path, name: str = "a", **further: Any) -> Host:
    """Make a host of a run, not up yet."""
    return Host(folder, name, folder / "effects", paths=[FLOWS], **further)


@contextmanager
def one_host(folder: Path, **environment: str) -> Iterator[Host]:
    """Give a host that is up."""
    made = host(folder, listen=False)
    try:
        yield made.up(**environment)
    finally:
        made.close()


@contextmanager
def two_hosts(folder: Path) -> Iterator[tuple[Host, Host]]:
    """Give two hosts that are up and paired, over loopback."""
    made = host(folder, "a"), host(folder, "b")
    try:
        for one in made:
            one.up()
        pair_hosts(*made)
        yield made
    finally:
        for one in made:
            one.close()


def actor_pids(host: Host) -> list[int]:
    """Give the process ids of a host's actor processes."""
    return [process.pid for process in host.processes() if " ".join(process.cmdline()).startswith(ACTOR)]


def take_jobs(client: Client, flow: str, inputs: list[dict[str, Any]], turns: int) -> float:
    """Submit jobs and wait until the client has the document of each.

    Args:
        client: of the host.
        flow: its locator.
        inputs: of the jobs.
        turns: that each shall have taken, all in its history.

    Returns:
        Seconds, from before the submit.
    """
    begun = time.perf_counter()
    ids = client.submit_many(flow, inputs)
    ended = client.wait_all(ids, timeout=PATIENCE)
    took = time.perf_counter() - begun
    for job in ended:
        check(job, turns)
    return took


def take_messages(client: Client, flow: str, turns: int, /, **fields: Any) -> float:
    """Have one job emit messages and handle them.

    Args:
        client: of the host.
        flow: its locator; its first turn emits.
        turns: that the job shall have taken, all in its history.
        **fields: its input.

    Returns:
        Seconds, from the end of the first turn, whose emissions are then still to be committed.
    """
    job = client.submit(flow, fields)
    final = client.wait(job, timeout=PATIENCE)
    ended = time.time()
    check(final, turns)
    first: Mapping[str, str] = client.show(job, history=1, after=0).history[0]
    return ended - seconds_of(first["ended_at"])


def check(job: JobState, turns: int) -> None:
    """See that what was measured was done."""
    total = job.serialize()["history_total"]
    if job.status != "completed" or total != turns:
        raise SystemExit(f"job {job.job_id} is {job.status} after {total} of {turns} turns: {job.error}")


def between(earlier: str, later: str) -> float:
    """Give the seconds between two times of a document."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
