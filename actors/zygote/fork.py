"""Making an actor process: by fork, or as a fresh interpreter where threads forbid it.

A child waits at a gate until its group is known to the guard, so that none runs a handler unguarded.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable

import msgspec

from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.process.main import run_process
from sojourn.actors.process.output import flush_streams
from sojourn.actors.zygote.kernel import die_with_parent
from sojourn.runtime.wire.zygote import Fork, ZygoteSetup

LET_GO = b"g"


class FreshSetup(msgspec.Struct):
    """What a fresh interpreter reads from its standard input.

    Attributes:
        fork: what the supervisor asked for.
        zygote: paths and allow-list.
        code: fingerprint of the code as the zygote loaded it.
        parent: pid of the zygote.
        gate: descriptor to wait at.
    """

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
            os.write(self._gate, LET_GO)
        except BrokenPipeError:
            pass  # it died already, which its pidfd tells
        os.close(self._gate)


def fork_child(
    request: Fork, routine: LoadedRoutine, code: str, flow_id: str, inherited: list[int]
) -> Child:
    """Fork an actor process from this zygote, which has one thread.

    Args:
        request: what the supervisor asked for.
        routine: the routine that it runs.
        code: fingerprint of the code.
        flow_id: id of the flow.
        inherited: the zygote's own descriptors, which the child must not keep open.

    Raises:
        OSError: if there are no descriptors or processes left.
    """
    parent = os.getpid()
    flush_streams()

    def start(output: int, gate: int, ours: list[int]) -> int:
        pid = os.fork()
        if pid == 0:
            _become_actor(request, routine, code, flow_id, parent, (output, gate, [*inherited, *ours]))
        return pid

    return _make(request.process, start)


def _become_actor(
    request: Fork, routine: LoadedRoutine, code: str, flow_id: str, parent: int,
    descriptors: tuple[int, int, list[int]],
) -> None:
    """Live the forked child's life; never returns."""
    status = 1
    try:
        output, gate, unwanted = descriptors
        os.setsid()
        die_with_parent(parent)
        for descriptor in unwanted:
            os.close(descriptor)
        _take_output(output)
        if pass_gate(gate):
            _reseed()
            run_process(request, routine, code, flow_id)
            status = 0
    except BaseException:  # noqa: BLE001 - whatever it is: it is printed, and the process ends
        traceback.print_exc(file=sys.__stderr__)
    finally:
        leave(status)


def leave(status: int) -> None:
    """End this process at once: threads and exit handlers of modules must not hold it up."""
    try:
        flush_streams()
    finally:
        os._exit(status)


def spawn_fresh(request: Fork, setup: ZygoteSetup, code: str, lock: int) -> Child:
    """Start an actor process as a fresh interpreter.

    Args:
        request: what the supervisor asked for.
        setup: paths and allow-list.
        code: fingerprint of the code.
        lock: descriptor that holds the home's alive lock, which the child holds on to.

    Raises:
        OSError: if there are no descriptors or processes left.
    """

    def start(output: int, gate: int, _ours: list[int]) -> int:
        fresh = FreshSetup(request, setup, code, os.getpid(), gate)
        with tempfile.TemporaryFile() as letter:  # a flow is too long for an argument
            letter.write(msgspec.msgpack.encode(fresh))
            letter.seek(0)
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "sojourn.actors.zygote.fresh"],
                stdin=letter,
                stdout=output,
                stderr=output,
                pass_fds=(gate, lock),
                start_new_session=True,
            )
        # It is reaped through its pid by the zygote's loop, so the Popen object is let go.
        process.returncode = 0
        return process.pid

    return _make(request.process, start)


def _make(process: str, start: Callable[[int, int, list[int]], int]) -> Child:
    """Make the pipes of a child and start it; nothing of it is left if that fails.

    Args:
        process: its name.
        start: takes the child's ends of output and gate and the descriptors that it has to close,
            gives its pid.
    """
    output_read, output_write = os.pipe()
    gate_read, gate_write = os.pipe()
    pid = 0
    try:
        pid = start(output_write, gate_read, [output_read, gate_write])
        return Child(process, pid, output_read, gate_write)
    except OSError:
        os.close(output_read)
        os.close(gate_write)
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        raise
    finally:
        os.close(output_write)
        os.close(gate_read)


def pass_gate(gate: int) -> bool:
    """Wait until the zygote lets this process go on; False if the zygote is gone."""
    passed = os.read(gate, 1) == LET_GO
    os.close(gate)
    return passed


def _take_output(descriptor: int) -> None:
    """Let descriptors 1 and 2 write into a pipe, and 0 read nothing."""
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    close_input()


def close_input() -> None:
    """Let descriptor 0 read nothing."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _reseed() -> None:
    """Give this process random numbers of its own, else all children of a zygote draw the same."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
