"""Making an actor process: by fork, or as a fresh interpreter where threads forbid it."""

from __future__ import annotations

import base64
import os
import random
import subprocess
import sys
import traceback

import msgspec

from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.process.main import run_process
from sojourn.actors.zygote.kernel import die_with_parent
from sojourn.runtime.wire.zygote import Fork, ZygoteSetup


class Descriptors(msgspec.Struct):
    """What a child inherits: descriptors to close, and the one that holds the lock."""

    close: list[int]
    lock: int


class FreshSetup(msgspec.Struct):
    """What a fresh interpreter is started with."""

    fork: Fork
    zygote: ZygoteSetup
    code: str
    parent: int
    gate: int


class Child:
    """An actor process that waits to be let go on.

    Attributes:
        process: its name.
        pid: its process id, and the id of its group.
        pidfd: refers to it safely.
        output: read end of the pipe that its descriptors 1 and 2 write into.
    """

    def __init__(self, process: str, pid: int, output: int, gate: int) -> None:
        self.process = process
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.output = output
        self._gate = gate

    def release(self) -> None:
        """Let it go on: it is known to the guard now."""
        try:
            os.write(self._gate, b"g")
        except BrokenPipeError:
            pass  # it died already, which its pidfd tells
        os.close(self._gate)


def fork_child(
    request: Fork, routine: LoadedRoutine, code: str, flow_id: str, inherited: Descriptors
) -> Child:
    """Fork an actor process from this zygote, which has one thread."""
    parent = os.getpid()
    output_read, output_write = os.pipe()
    gate_read, gate_write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setsid()
            die_with_parent(parent)
            for descriptor in (*inherited.close, output_read, gate_write):
                os.close(descriptor)
            take_output(output_write)
            if os.read(gate_read, 1) == b"g":
                os.close(gate_read)
                random.seed()
                run_process(request, routine, code, flow_id)
                status = 0
        except BaseException:  # whatever it is: it is printed, and the process ends
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    os.close(output_write)
    os.close(gate_read)
    return Child(request.process, pid, output_read, gate_write)


def take_output(descriptor: int) -> None:
    """Let descriptors 1 and 2 write into a pipe, and 0 read nothing."""
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.close(descriptor)


def spawn_fresh(request: Fork, setup: ZygoteSetup, code: str, lock: int) -> Child:
    """Start an actor process as a fresh interpreter."""
    output_read, output_write = os.pipe()
    gate_read, gate_write = os.pipe()
    fresh = FreshSetup(request, setup, code, os.getpid(), gate_read)
    argument = base64.b64encode(msgspec.msgpack.encode(fresh)).decode()
    # The child is reaped through its pid by the zygote's loop, so the Popen object is let go.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "sojourn.actors.zygote.fresh", argument],
        stdin=subprocess.DEVNULL,
        stdout=output_write,
        stderr=output_write,
        pass_fds=(gate_read, lock),
        start_new_session=True,
    )
    process.returncode = 0
    os.close(output_write)
    os.close(gate_read)
    return Child(request.process, process.pid, output_read, gate_write)
