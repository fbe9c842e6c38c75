"""What hosts tell each other of the jobs that they hold, or held: asked after a reconnect and a restart."""

from __future__ import annotations

from typing import Annotated

import msgspec

AT_ONCE = 1000
"""Jobs that are asked for, or told of, in one message."""


class Claim(msgspec.Struct, array_like=True, frozen=True):
    """What a host knows of a job.

    Attributes:
        job_id: the job.
        instance: its instance.
        epoch: epoch under which it is, or was, this host's.
        holding: ``owned``, ``released``, ``gone``, ``forgotten`` or ``arriving``.
        moved_to: host that it was given to; None if it wasn't.
    """

    job_id: str
    instance: str
    epoch: int
    holding: str
    moved_to: str | None = None


class Asking(msgspec.Struct, tag="asking"):
    """What do you hold of these jobs (ids)?"""

    number: int
    jobs: Annotated[list[str], msgspec.Meta(max_length=AT_ONCE)]


class Claims(msgspec.Struct, tag="claims"):
    """Answer to ``Asking``: what is known of those of the jobs of which anything is."""

    number: int
    claims: Annotated[list[Claim], msgspec.Meta(max_length=AT_ONCE)]


ClaimsMessage = Asking | Claims
