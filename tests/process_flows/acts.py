"""Routines that do what their message says: what zygote and actor process are tested with."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine, slot


class Act(Routine):
    """One slot for each thing that a handler may do."""

    def __init__(self) -> None:
        self.count = 0

    def process(self, n: int) -> None:
        self.count += 1
        self.emit("output", n=n, count=self.count)

    @slot
    def wait(self, gate: str) -> None:
        """Tell that it began, then wait for a file."""
        print("waiting")
        Path(f"{gate}.begun").write_text(str(os.getpid()))
        while not Path(gate).exists():
            time.sleep(0.002)

    @slot
    def wait_to_yield(self, gate: str) -> None:
        """Tell what was said of the interruption, once something was."""
        Path(f"{gate}.begun").touch()
        while not self.should_yield:
            time.sleep(0.002)
        self.emit("output", left=self.time_left)
        Path(f"{gate}.asked").touch()
        while self.should_yield:
            time.sleep(0.002)
        self.emit("output", left=self.time_left)

    @slot
    def steps(self, gate: str) -> None:
        """Commit half-way."""
        self.emit("output", part=1)
        self.checkpoint()
        Path(gate).touch()
        self.emit("output", part=2)

    @slot
    def share(self, key: str) -> None:
        """Show what is shared, then write to it."""
        self.emit("output", seen=self.shared.get(key))
        self.shared.add(key, 1)

    @slot
    def fail(self) -> None:
        raise ValueError("as asked")

    @slot
    def die(self, status: int) -> None:
        os._exit(status)

    @slot
    def segfault(self) -> None:
        ctypes.string_at(0)

    @slot
    def talk(self) -> None:
        """Print in every way there is."""
        print("one\ntwo")
        print("to stderr", file=sys.stderr)
        self.log.info("logged", n=3)
        print("unfinished", end="")

    @slot
    def chatter(self, lines: int, length: int) -> None:
        for _ in range(lines):
            print("x" * length)

    @slot
    def print_below(self) -> None:
        """Print where Python's streams aren't asked."""
        os.write(1, b"from a descriptor\n")
        sys.stdout.buffer.write(b"from the buffer\n")
        subprocess.run(["echo", "from a program"], check=True)
        child = multiprocessing.get_context("fork").Process(target=print, args=("from a fork",))
        child.start()
        child.join()

    @slot
    def spawn(self, file: str) -> None:
        """Start a program that outlives the handler, and wait."""
        child = subprocess.Popen(["sleep", "600"])
        Path(f"{file}.new").write_text(f"{os.getpid()} {child.pid}")
        Path(f"{file}.new").rename(file)
        child.wait()

    @slot
    def grow(self, size: int) -> None:
        self.emit("output", size=len(bytearray(size)))

    @slot
    def draw(self) -> None:
        """Emit something large enough to be a file."""
        self.emit("output", data=b"\7" * 100_000)

    @slot
    def show_process(self) -> None:
        self.emit(
            "output", session=os.getsid(0), group=os.getpgid(0), pid=os.getpid(), cwd=os.getcwd(),
            omp=os.environ["OMP_NUM_THREADS"], title=Path("/proc/self/cmdline").read_text("utf-8"),
            sockets=sum("socket:" in os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors()),
        )


def _descriptors() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]


class Broken(Routine):
    """Can't be activated."""

    def activate(self) -> None:
        raise RuntimeError("no connection")

    def process(self) -> None:
        """Never reached."""


SKIP = ErrorHandler(strategy=ErrorStrategy.SKIP)
RETRY = ErrorHandler(strategy=ErrorStrategy.RETRY, on_exhausted=ErrorStrategy.SKIP)

flow = Flow("acts", entry="plain")
flow.add_routine(Act(), "plain", error_handler=SKIP)
flow.add_routine(Act(), "stops")
flow.add_routine(Act(), "ordered", error_handler=RETRY, ordered=True)
flow.add_routine(Broken(), "broken", error_handler=SKIP)

not_a_flow = {"id": "acts"}
