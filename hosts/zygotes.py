"""A supervisor's end of zygotes and actor processes: start, talk, kill. Decides nothing about jobs."""

from __future__ import annotations

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

from sojourn.hosts.current_files import CurrentFiles
from sojourn.hosts.descriptors import give_descriptors
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
    Shutdown,
    Started,
    ToZygote,
    ZygoteSetup,
    decode_from_zygote,
    encode,
)

DESCRIPTORS_PER_FORK = 2
ENDING_SECONDS = 0.5
"""How long a process whose socket closed gets to be gone, before it is killed."""

READ_AT_ONCE = 1 << 24
"""Bytes of a zygote that one look takes in, so that one that speaks without end holds nobody up."""

OUTPUT_PIECE = 1 << 16
OUTPUT_AT_ONCE = 1 << 20


class Reception(msgspec.Struct):
    """A message from a zygote and the descriptors that came with it.

    Attributes:
        message: it.
        fds: the descriptors.
        died: whether the zygote is dead and can't answer: nothing is said of the code that it was asked
            about.
    """

    message: FromZygote
    fds: list[int]
    died: bool = False


class Zygote:
    """One zygote process.

    Args:
        python: interpreter; empty for this one.
        paths: import paths; the first is the working directory.
        allow: packages whose modules may be run.
        modules: what it is for, named in errors.
        alive_lock: file that it holds a shared lock on.
        import_timeout: seconds that an answer about code may take.
        descriptors: (soft, hard) limit of open files that it gets; None for this process's own.
    """

    def __init__(
        self, *, python: str, paths: Sequence[str], allow: Sequence[str], modules: Sequence[str],
        alive_lock: Path, import_timeout: float, descriptors: tuple[int, int] | None = None,
    ) -> None:
        self._paths = tuple(paths) or (os.getcwd(),)
        self._files = CurrentFiles(self._paths)
        self._modules = tuple(modules)
        self._import_timeout = import_timeout
        self._waiting: list[int] = []
        """Requests without an answer; they are answered in order."""
        self._forks: set[int] = set()
        """Those of them that ask for a process."""
        self._asked = 0.0
        """Monotonic time since which the first of them is worked on."""
        self._failures: list[Reception] = []
        self._deframer = Deframer()
        self._fds: list[int] = []
        self._children: dict[str, int] = {}
        """Name of a process that it forked → its id."""
        self._outgoing = bytearray()
        self._end = ""
        """How it ended, once it has."""
        self._python = python or sys.executable
        self._began = False
        """Whether it got as far as to serve."""
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        life_read, self._life = os.pipe()
        self._process = self._spawn(self._python, tuple(allow), alive_lock, theirs, life_read)
        theirs.close()
        os.close(life_read)
        if descriptors is not None and self._process is not None:
            give_descriptors(self._process.pid, descriptors)

    def _spawn(
        self, python: str, allow: tuple[str, ...], alive_lock: Path, theirs: socket.socket, life: int
    ) -> subprocess.Popen[bytes] | None:
        setup = ZygoteSetup(os.getpid(), theirs.fileno(), life, self._paths, allow, str(alive_lock))
        try:
            return subprocess.Popen(
                [python, "-P", "-m", "sojourn.actors.zygote", msgspec.json.encode(setup).decode()],
                stdin=subprocess.DEVNULL,
                stdout=2,
                cwd=self._paths[0],
                pass_fds=(theirs.fileno(), life),
                start_new_session=True,
            )
        except OSError as error:
            what = error.filename or python
            self._end = f"can't be started ({what}: {error.strerror}): see --python and --path"
            return None

    @property
    def dead(self) -> bool:
        """Whether it ended, as far as ``receive`` has seen."""
        return bool(self._end)

    @property
    def pid(self) -> int:
        """Its process id; 0 if it couldn't be started."""
        return 0 if self._process is None else self._process.pid

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._socket.fileno()

    @property
    def deadline(self) -> float | None:
        """Monotonic time at which something is to be done with it: an answer is late, or bytes wait."""
        if self._failures:
            return time.monotonic()
        if self._outgoing:
            return time.monotonic() + 0.01
        return self._asked + self._import_timeout if self._waiting else None

    def send(self, message: ToZygote) -> None:
        """Send a message; what the stream doesn't take now goes with the next call."""
        if not isinstance(message, Shutdown):
            if self.dead:
                self._failures.append(self._died(message.request))
                return
            if not self._waiting:
                self._asked = time.monotonic()
            self._waiting.append(message.request)
            if isinstance(message, Fork):
                self._forks.add(message.request)
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
        taken = 0
        while not self.dead and taken < READ_AT_ONCE:
            try:
                data, fds, flags, _ = socket.recv_fds(self._socket, 1 << 20, 16)
            except BlockingIOError:
                break
            except OSError:
                data, fds, flags = b"", [], 0
            self._fds.extend(fds)
            taken += len(data)
            if not data:
                self._lost(self._how_it_ended())
                break
            if flags & socket.MSG_CTRUNC:
                self._lost("sent descriptors that found no room and was killed: raise `ulimit -n`")
                break
            try:
                found.extend(self._received(decode_from_zygote(body)) for body in self._deframer.feed(data))
            except (ValueError, msgspec.DecodeError) as error:
                self._lost(f"sent what can't be read ({error}) and was killed")
        found.extend(self._failures)
        self._failures = []
        return found

    def _received(self, message: FromZygote) -> Reception:
        """Take a message in, if it is one that can come now.

        Raises:
            ValueError: if not: modules that are imported there may write to its socket.
        """
        fds: list[int] = []
        match message:
            case Forked():
                if len(self._fds) < DESCRIPTORS_PER_FORK or message.request not in self._forks:
                    raise ValueError("a process without its descriptors, or that nobody wanted")
                self._answered(message.request)
                fds, self._fds = (
                    self._fds[:DESCRIPTORS_PER_FORK], self._fds[DESCRIPTORS_PER_FORK:]
                )
                self._children[message.process] = message.pid
            case Inspected():
                if message.request in self._forks:
                    raise ValueError("a flow instead of a process")
                self._answered(message.request)
            case LoadFailed():
                self._answered(message.request)
            case Started():
                if self._began:
                    raise ValueError("that it started, twice")
                self._began = True
            case Exited():
                if self._children.pop(message.process, None) != message.pid:
                    raise ValueError("the end of a process that it never had")
        if len(self._fds) > DESCRIPTORS_PER_FORK * (len(self._waiting) + 1):
            raise ValueError("descriptors that nobody asked for")
        return Reception(message, fds)

    def _answered(self, request: int) -> None:
        if request not in self._waiting:
            raise ValueError("an answer to nothing")
        self._waiting.remove(request)
        self._forks.discard(request)
        self._asked = time.monotonic()

    def _how_it_ended(self) -> str:
        """Say how it ended, once its socket is closed."""
        if self._process is None:
            return "wasn't started"
        try:
            status = self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its socket and was killed: an import closes descriptors that aren't its own"
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        if not self._began:
            return (
                f"ended with status {status} before it began: install this version of sojourn for "
                f"{self._python} (its error is in the output of `sojourn up`), or name another --python"
            )
        return f"ended with status {status}: something in the import ends its process"

    def _lost(self, end: str) -> None:
        """Take it for dead, and make sure that it is."""
        self._end = end
        self.kill()
        self._failures.extend(self._died(number) for number in self._waiting)
        self._waiting.clear()

    def _died(self, number: int) -> Reception:
        failed = LoadFailed(
            number, CodeNotLoadable.__name__,
            f"the zygote that imports {', '.join(self._modules)} {self._end}",
        )
        return Reception(failed, [], died=True)

    def expire(self, now: float) -> None:
        """Give up on an answer that is late: the import hangs, so the zygote is killed.

        Args:
            now: monotonic seconds.
        """
        if not self._waiting or now < self._asked + self._import_timeout:
            return
        late = f"importing {', '.join(self._modules)} took longer than {self._import_timeout:g} s"
        self._failures.extend(
            Reception(LoadFailed(number, CodeNotLoadable.__name__, late), []) for number in self._waiting
        )
        self._waiting.clear()
        self.kill()

    def code_is_current(self, files: Sequence[tuple[str, str]]) -> bool:
        """Tell whether files under the paths still have the content that was loaded.

        Args:
            files: (path relative to its root, sha256 hex).
        """
        return self._files.hold(files)

    def kill(self) -> None:
        """Kill it; its guard kills the processes that it forked."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Reap it and let its descriptors go."""
        if self._process is not None:
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
            if self.pid > 1:  # to the kernel, group 1 means every process that there is
                os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # it was reaped, and the zygote kills the group before it reaps

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
        """Take what it printed, without waiting; the descriptor is closed at its end.

        Returns:
            At most ``OUTPUT_AT_ONCE`` bytes: whoever prints without end must not hold others up.
        """
        if self.output_fd < 0:
            return b""
        parts: list[bytes] = []
        for _ in range(OUTPUT_AT_ONCE // OUTPUT_PIECE):
            try:
                data = os.read(self.output_fd, OUTPUT_PIECE)
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
