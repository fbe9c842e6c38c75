"""The zygote's loop: answer questions about code, fork actor processes, reap them."""

from __future__ import annotations

import array
import gc
import os
import select
import socket
from collections.abc import Callable

import msgspec

from sojourn.actors.classes import LoadedClasses
from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.process.output import flush_streams
from sojourn.actors.zygote.dependencies import Dependencies
from sojourn.actors.zygote.fingerprint import Fingerprints
from sojourn.actors.zygote.fork import Child, fork_child, spawn_fresh
from sojourn.actors.zygote.guard import NOTE
from sojourn.actors.zygote.imports import Allowance, find_flow, load_flow
from sojourn.actors.zygote.kernel import kill_group, may_fork
from sojourn.runtime.errors import CodeNotLoadable, NotFound, ProtocolViolation, SojournError, to_wire
from sojourn.runtime.fingerprint import fingerprint
from sojourn.runtime.flow import FlowSpec, decode_flow, encode_flow
from sojourn.runtime.wire.framing import Deframer, frame
from sojourn.runtime.wire.zygote import (
    Check,
    Exited,
    Fork,
    Forked,
    FromZygote,
    Inspect,
    Inspected,
    LoadFailed,
    Shutdown,
    Started,
    ToZygote,
    ZygoteSetup,
    decode_to_zygote,
    encode,
)


class LoadedFlow(msgspec.Struct):
    """A flow whose modules are imported.

    Attributes:
        id: the flow's id.
        routines: its routines, ready to run.
        files: (relative path, sha256 hex) of the files that were loaded by then.
        code: fingerprint over them.
    """

    id: str
    routines: dict[str, LoadedRoutine]
    files: list[tuple[str, str]]
    code: str


class Server:
    """One zygote.

    Args:
        setup: what it was started with.
        channel: stream to the supervisor.
        control: write end of the guard's control pipe.
        lock: descriptor that holds the shared lock.
    """

    def __init__(
        self, setup: ZygoteSetup, channel: socket.socket, control: int, lock: int
    ) -> None:
        self._setup = setup
        self._channel = channel
        self._control = control
        self._lock = lock
        self._deframer = Deframer()
        self._allowance = Allowance(setup.paths, setup.allow)
        self._classes = LoadedClasses(self._allowance.permits_loaded)
        self._fingerprints = Fingerprints(self._allowance)
        self._dependencies = Dependencies(self._fingerprints)
        self._loaded: dict[bytes, LoadedFlow] = {}
        """Encoded flow → what was loaded for it."""
        self._children: dict[int, Child] = {}
        """pidfd → child."""

    def run(self) -> None:
        """Serve until the supervisor's end closes, it says so, or the guard is gone."""
        self._send(Started(os.getpid()))
        try:
            self._serve()
        finally:
            for child in self._children.values():
                kill_group(child.pid)

    def _serve(self) -> None:
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        poller.register(self._control, 0)  # tells of its other end's closing only
        watched = set[int]()
        while True:
            for pidfd in self._children.keys() - watched:
                poller.register(pidfd, select.POLLIN)
            watched = set(self._children)
            for descriptor, _ in poller.poll():
                if descriptor == self._channel.fileno():
                    if not self._receive():
                        return
                elif descriptor in self._children:
                    poller.unregister(descriptor)
                    watched.discard(descriptor)
                    self._reap(descriptor)
                elif descriptor == self._control:
                    return  # nothing may run unguarded

    def _receive(self) -> bool:
        data = self._channel.recv(1 << 20)
        if not data:
            return False
        return all(
            self._handle(decode_to_zygote(message)) for message in self._deframer.feed(data)
        )

    def _handle(self, message: ToZygote) -> bool:
        match message:
            case Inspect():
                self._answer(message.request, lambda: find_flow(message.locator, self._allowance))
            case Check():
                self._answer(
                    message.request, lambda: _decode(message.flow), by_routine=message.by_routine
                )
            case Fork():
                self._fork(message)
            case Shutdown():
                return False
        return True

    def _answer(
        self, request: int, find: Callable[[], FlowSpec], *, by_routine: bool = False
    ) -> None:
        """Find a flow, load it, and say how that went."""
        routines: dict[str, list[str]] = {}
        try:
            flow = find()
            encoded = encode_flow(flow)
            loaded = self._load(encoded)
            if by_routine:
                routines = {
                    routine.id: self._dependencies.files(routine.module) for routine in flow.routines
                }
        except BaseException as error:  # noqa: BLE001 - modules raise anything, the zygote outlives it
            self._send(LoadFailed(request, *_describe(error)))
            return
        finally:
            flush_streams()
        self._send(Inspected(request, encoded, loaded.code, loaded.files, may_fork(), routines))

    def _load(self, encoded: bytes) -> LoadedFlow:
        """Import what a flow needs, once."""
        loaded = self._loaded.get(encoded)
        if loaded is None:
            flow = _decode(encoded)
            routines = load_flow(flow, self._allowance, self._classes)
            files = self._fingerprints.files()
            loaded = LoadedFlow(flow.id, routines, files, fingerprint(files))
            self._loaded[encoded] = loaded
            gc.collect()
            gc.freeze()  # what is loaded by now stays in pages that the children share
        return loaded

    def _fork(self, request: Fork) -> None:
        try:
            child = self._start_child(request)
        except BaseException as error:  # noqa: BLE001 - one process less, not the zygote
            self._send(LoadFailed(request.request, *_describe(error)))
            return
        os.write(self._control, NOTE.pack(child.pid))
        child.release()
        self._children[child.pidfd] = child
        self._send(
            Forked(request.request, request.process, child.pid), [child.pidfd, child.output]
        )
        os.close(child.output)

    def _start_child(self, request: Fork) -> Child:
        loaded = self._load(request.flow)
        routine = loaded.routines.get(request.routine)
        if routine is None:
            raise NotFound(f"flow {loaded.id!r} has no routine {request.routine!r}")
        if not may_fork():
            return spawn_fresh(request, self._setup, loaded.code, self._lock)
        self._classes.look()
        ours = [self._channel.fileno(), self._control, *self._children]
        return fork_child(request, routine, loaded.code, loaded.id, ours)

    def _reap(self, pidfd: int) -> None:
        child = self._children.pop(pidfd)
        kill_group(child.pid)
        _, status = os.waitpid(child.pid, 0)
        os.close(pidfd)
        os.write(self._control, NOTE.pack(-child.pid))
        self._send(Exited(child.process, child.pid, os.waitstatus_to_exitcode(status)))

    def _send(self, message: FromZygote, descriptors: list[int] | None = None) -> None:
        data = frame(encode(message))
        if descriptors:
            rights = array.array("i", descriptors)
            sent = self._channel.sendmsg(
                [data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            )
            data = data[sent:]
        if data:
            self._channel.sendall(data)


def _decode(flow: bytes) -> FlowSpec:
    try:
        return decode_flow(flow)
    except msgspec.DecodeError as error:
        raise ProtocolViolation(f"the flow doesn't decode: {error}") from error


def _describe(error: BaseException) -> tuple[str, str]:
    """Give an error as it travels."""
    if isinstance(error, SojournError):
        return to_wire(error)
    if isinstance(error, OSError):
        return CodeNotLoadable.__name__, f"no process can be started: {error}"
    return CodeNotLoadable.__name__, f"loading the flow failed: {type(error).__name__}: {error}"
