"""Where a job came from, by its ``handoffs``: the target of a move back. Moves nothing."""

from __future__ import annotations

from sojourn.runtime.errors import Refused
from sojourn.runtime.job import JobHead


def came_from(head: JobHead, host: str) -> str:
    """Give the host that gave a job to this one, the last time that it came here.

    Args:
        head: the job, with its journeys so far.
        host: this host, which owns it.

    Raises:
        Refused: if it never came here from another host.
    """
    for entry in reversed(head.handoffs):
        if entry.target == host and entry.source != host:
            return entry.source
    raise Refused(
        f"job {head.job_id} never moved to host {host!r}, so there is nowhere to move it back to: "
        f"`sojourn migrate {head.job_id} --to HOST` moves it on"
    )
