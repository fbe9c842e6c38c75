"""What a supervisor needs of the operating system to run routines: zygotes, and what they fork."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sojourn.hosts.zygotes import ProcessHandle, Reception, Zygote
from sojourn.runtime.progress_page import Running
from sojourn.runtime.wire.zygote import ToZygote


class ZygoteEnd(Protocol):
    """One zygote, as its supervisor holds it; see ``hosts.zygotes.Zygote``."""

    @property
    def dead(self) -> bool:
        """Whether it ended."""
        ...

    @property
    def deadline(self) -> float | None:
        """Monotonic time at which something is to be done with it."""
        ...

    def fileno(self) -> int:
        """The descriptor to poll."""
        ...

    def send(self, message: ToZygote) -> None:
        """Send a message."""
        ...

    def receive(self) -> list[Reception]:
        """Take in what it sent, without waiting."""
        ...

    def expire(self, now: float) -> None:
        """Give up on an answer that is late."""
        ...

    def code_is_current(self, files: Sequence[tuple[str, str]]) -> bool:
        """Tell whether files still have the content that was loaded."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class ProcessEnd(Protocol):
    """One actor process, as its supervisor holds it; see ``hosts.zygotes.ProcessHandle``."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    @property
    def output_fd(self) -> int:
        """Read end of what it prints; -1 once that is closed."""
        ...

    def kill(self) -> None:
        """Kill it and its group."""
        ...

    def wait(self) -> bool:
        """Wait until it is dead."""
        ...

    def read_page(self) -> Running:
        """Read its progress page."""
        ...

    def glance(self) -> Running:
        """Read what it runs now."""
        ...

    def drain_output(self) -> bytes:
        """Take what it printed, without waiting."""
        ...

    def close(self) -> None:
        """Let its descriptors go."""
        ...


class Processes(Protocol):
    """Makes them."""

    def start_zygote(
        self, *, python: str, paths: Sequence[str], allow: Sequence[str], modules: Sequence[str],
        alive_lock: Path, import_timeout: float,
    ) -> ZygoteEnd:
        """Start a zygote; see ``hosts.zygotes.Zygote``."""
        ...

    def hold(self, name: str, pid: int, fds: list[int], page: Path) -> ProcessEnd:
        """Take hold of a process that was forked, with the descriptors that came with it."""
        ...


class LocalProcesses:
    """Those of this machine.

    Args:
        descriptors: (soft, hard) limit of open files that zygotes get; None for this process's own.
    """

    def __init__(self, descriptors: tuple[int, int] | None = None) -> None:
        self._descriptors = descriptors

    def start_zygote(
        self, *, python: str, paths: Sequence[str], allow: Sequence[str], modules: Sequence[str],
        alive_lock: Path, import_timeout: float,
    ) -> ZygoteEnd:
        """See ``Processes``."""
        return Zygote(
            python=python, paths=paths, allow=allow, modules=modules, alive_lock=alive_lock,
            import_timeout=import_timeout, descriptors=self._descriptors,
        )

    def hold(self, name: str, pid: int, fds: list[int], page: Path) -> ProcessEnd:
        """See ``Processes``."""
        return ProcessHandle(name, pid, fds[0], fds[1], page)
