"""A supervisor's end of zygotes and actor processes: start, talk, kill. Decides nothing about jobs."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sojourn.hosts.pages import PageReader
from sojourn.runtime.errors import CodeNotLoadable
from sojourn.runtime.progress_page import Running
from sojourn.runtime.wire.framing import Deframer, frame
from sojourn.runtime.wire.zygote import (
    Exited,
    Fork,
    Forked,
    FromZygote,
    Inspected,
    LoadFailed,
    Started,
    ToZygote,
    ZygoteSetup,
    decode_from_zygote,
    encode,
)

DESCRIPTORS_PER_FORK = 2


class Reception(msgspec.Struct):
    """A message from a zygote and the descriptors that came with it."""

    message: FromZygote
    fds: list[int]


class Zygote:
    """One zygote process.

    Args:
        python: interpreter; empty for this one.
        paths: import paths; the first is the working directory.
        allow: packages whose modules may be run.
        modules: what it is for, named in errors.
        alive_lock: file that it holds a shared lock on.
        import_timeout: seconds that an answer about code may take.
    """

    def __init__(
        self, *, python: str, paths: Sequence[str], allow: Sequence[str], modules: Sequence[str],
        alive_lock: Path, import_timeout: float,
    ) -> None:
        self._paths = tuple(paths) or (os.getcwd(),)
        self._modules = tuple(modules)
        self._import_timeout = import_timeout
        self._waiting: dict[int, float] = {}
        self._failures: list[LoadFailed] = []
        self._deframer = Deframer()
        self._fds: list[int] = []
        self._outgoing = bytearray()
        self.dead = False
        ours, theirs = socket.socketpair()
        life_read, life_write = os.pipe()
        setup = ZygoteSetup(
            os.getpid(), theirs.fileno(), life_read, self._paths, tuple(allow), str(alive_lock)
        )
        self._process = subprocess.Popen(
            [python or sys.executable, "-P", "-m", "sojourn.actors.zygote",
             msgspec.json.encode(setup).decode()],
            stdin=subprocess.DEVNULL,
            stdout=2,
            cwd=self._paths[0],
            pass_fds=(theirs.fileno(), life_read),
            start_new_session=True,
        )
        theirs.close()
        os.close(life_read)
        self._life = life_write
        self._socket = ours
        ours.setblocking(False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._socket.fileno()

    @property
    def deadline(self) -> float | None:
        """Monotonic time at which something is to be done with it: an answer is late, or bytes wait."""
        if self._outgoing:
            return time.monotonic() + 0.01
        return min(self._waiting.values(), default=None)

    def send(self, message: ToZygote) -> None:
        """Send a message; what the stream doesn't take now goes with the next call."""
        number = getattr(message, "request", None)
        if isinstance(number, int):
            if self.dead:
                self._failures.append(self._died(number))
                return
            limit = float("inf") if isinstance(message, Fork) else self._import_timeout
            self._waiting[number] = time.monotonic() + limit
        self._outgoing += frame(encode(message))
        self._flush()

    def _flush(self) -> None:
        while self._outgoing:
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError:
                self._outgoing.clear()
                return  # it is gone, which `receive` finds out
            del self._outgoing[:sent]

    def receive(self) -> list[Reception]:
        """Take in what it sent, without waiting; a death answers everything that was asked."""
        self._flush()
        found: list[Reception] = []
        while not self.dead:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, 1 << 20, 16)
            except BlockingIOError:
                break
            except OSError:
                data, fds = b"", []
            self._fds.extend(fds)
            if not data:
                self._lost()
                break
            for body in self._deframer.feed(data):
                found.append(self._received(decode_from_zygote(body)))
        found.extend(Reception(failure, []) for failure in self._failures)
        self._failures = []
        return found

    def _received(self, message: FromZygote) -> Reception:
        fds: list[int] = []
        match message:
            case Forked():
                fds, self._fds = (
                    self._fds[:DESCRIPTORS_PER_FORK], self._fds[DESCRIPTORS_PER_FORK:]
                )
                self._waiting.pop(message.request, None)
            case Inspected() | LoadFailed():
                self._waiting.pop(message.request, None)
            case Started() | Exited():
                pass
        return Reception(message, fds)

    def _lost(self) -> None:
        self.dead = True
        self._failures.extend(self._died(number) for number in self._waiting)
        self._waiting.clear()

    def _died(self, number: int) -> LoadFailed:
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            status = -signal.SIGKILL
        how = f"with status {status}" if status >= 0 else f"by signal {-status}"
        return LoadFailed(
            number, CodeNotLoadable.__name__,
            f"the process that imports {', '.join(self._modules)} ended {how}: "
            "something in the import ends its process",
        )

    def expire(self, now: float) -> None:
        """Give up on answers that are late: the import hangs, so the zygote is killed.

        Args:
            now: monotonic seconds.
        """
        late = [number for number, deadline in self._waiting.items() if deadline <= now]
        if not late:
            return
        for number in late:
            del self._waiting[number]
            self._failures.append(
                LoadFailed(
                    number, CodeNotLoadable.__name__,
                    f"importing {', '.join(self._modules)} took longer than "
                    f"{self._import_timeout:g} s",
                )
            )
        self.kill()

    def code_is_current(self, files: Sequence[tuple[str, str]]) -> bool:
        """Tell whether files under the paths still have the content that was loaded.

        Args:
            files: (path relative to its root, sha256 hex).
        """
        for name, digest in files:
            for root in self._paths:
                path = Path(root) / name
                try:
                    content = path.read_bytes()
                except OSError:
                    continue
                if hashlib.sha256(content).hexdigest() == digest:
                    break
            else:
                return False
        return True

    def kill(self) -> None:
        """Kill it; its guard kills the processes that it forked."""
        self._process.kill()

    def close(self) -> None:
        """Reap it and let its descriptors go."""
        self._process.kill()
        self._process.wait()
        self._socket.close()
        os.close(self._life)
        for descriptor in self._fds:
            os.close(descriptor)
        self._fds = []


class ProcessHandle:
    """An actor process as its supervisor holds it.

    Args:
        name: its name.
        pid: process id, and id of its group.
        pidfd: refers to it safely.
        output_fd: read end of what it prints.
        page: its progress page.
    """

    def __init__(self, name: str, pid: int, pidfd: int, output_fd: int, page: Path) -> None:
        self.name = name
        self.pid = pid
        self._pidfd = pidfd
        self.output_fd = output_fd
        self._page = PageReader(page)
        os.set_blocking(output_fd, False)

    def kill(self) -> None:
        """Kill it and its group."""
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    def alive(self) -> bool:
        """Tell whether it runs."""
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        return not poller.poll(0)

    def wait(self, timeout: float = 5.0) -> bool:
        """Wait until it is dead; False if it isn't after ``timeout`` seconds."""
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        return bool(poller.poll(timeout * 1000))

    def read_page(self) -> Running:
        """Read its progress page."""
        return self._page.read()

    def glance(self) -> Running:
        """Read what it runs now."""
        return self._page.glance()

    def drain_output(self) -> bytes:
        """Take what it printed, without waiting; the descriptor is closed at its end."""
        parts: list[bytes] = []
        while self.output_fd >= 0:
            try:
                data = os.read(self.output_fd, 1 << 16)
            except BlockingIOError:
                break
            if not data:
                os.close(self.output_fd)
                self.output_fd = -1
                break
            parts.append(data)
        return b"".join(parts)

    def close(self) -> None:
        """Let its descriptors go."""
        if self.output_fd >= 0:
            os.close(self.output_fd)
            self.output_fd = -1
        os.close(self._pidfd)
        self._page.close()
