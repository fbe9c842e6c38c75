"""What ``sojourn up`` was asked for, as one plain value."""

from __future__ import annotations

import msgspec

RETAIN_SECONDS = 30 * 24 * 3600.0
RETAIN_JOBS = 100_000
DEFAULT_GRACE = 10.0
IMPORT_TIMEOUT = 60.0


class UpOptions(msgspec.Struct, frozen=True):
    """Options of a supervisor.

    Attributes:
        home: its home directory.
        name: this host's name among its peers.
        listen: ``tcp://HOST:PORT`` for peers (port 0: any free one); None to dial out only.
        paths: import paths of routines, absolute; also the first is their working directory.
        allow: prefixes of installed packages whose modules may be run.
        python: interpreter for zygotes and actor processes.
        retain_seconds: how long a finished job is kept.
        retain_jobs: how many finished jobs are kept.
        strict_code: block jobs whose code changed instead of going on with the new one.
        memory_limit: bytes of address space per actor process.
        grace: seconds that turns in flight get at a hand-off, cancel or stop, unless they name one.
        import_timeout: seconds that a code base may take to import.
        drain_to: paired host to which SIGTERM moves every job before it stops; None to stop at once.
        accept_restored: run the jobs of a store that was put back from a copy without asking peers first.
        quiet: print nothing but the ``ready`` line.
    """

    home: str
    name: str
    listen: str | None = None
    paths: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    python: str = ""
    retain_seconds: float = RETAIN_SECONDS
    retain_jobs: int = RETAIN_JOBS
    strict_code: bool = False
    memory_limit: int | None = None
    grace: float = DEFAULT_GRACE
    import_timeout: float = IMPORT_TIMEOUT
    drain_to: str | None = None
    accept_restored: bool = False
    quiet: bool = False
