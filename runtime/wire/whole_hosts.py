"""The commands of a client that are about many jobs, or about a whole host.

What they answer names each job with where it is now: an *entry*, see ``sojourn.runtime.moved``.
"""

from __future__ import annotations

import msgspec

from sojourn.runtime.wire.bounds import Milliseconds, Seconds


class MigrateMany(msgspec.Struct, tag="migrate_many"):
    """Move several jobs side by side; one that doesn't move stops no other.

    ``jobs`` None means every unfinished job that the host owns; ``to`` None sends each back to where it
    came from. Progress: as of ``Migrate``, with ``job_id``; reply: ``{"jobs": [entry, …]}``.
    """

    jobs: list[str] | None
    to: str | None
    grace: Seconds | None = None
    allow_code_drift: bool = False
    max_downtime_ms: Milliseconds | None = None


class Cordon(msgspec.Struct, tag="cordon"):
    """Take no new jobs, or take them again (``on`` false). Reply: ``{"host", "cordoned"}``."""

    on: bool = True


class Drain(msgspec.Struct, tag="drain"):
    """Cordon the host and move every job away; ``to`` None spreads them over all paired hosts.

    ``deadline`` in seconds. Asked for while a drain is under way, its options hold from then on. Progress:
    ``{"host", "moved", "under_way", "in_doubt", "waiting", "stays"}``, lists of job ids but for the
    counts ``moved`` and ``waiting``; reply: ``{"host", "jobs": [entry, …]}``.
    """

    to: str | None = None
    deadline: Seconds | None = None
    grace: Seconds | None = None
