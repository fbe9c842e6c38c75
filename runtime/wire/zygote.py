"""Messages between a supervisor and a zygote (a stream socketpair, framed msgpack).

A zygote imports a code base once, answers questions about it and forks actor processes. File
descriptors travel beside a message as SCM_RIGHTS, never inside.
"""

from __future__ import annotations

import msgspec

from sojourn.runtime.wire.decoding import FrameDecoder


class ZygoteSetup(msgspec.Struct):
    """What a zygote is started with, as JSON in its arguments.

    Attributes:
        parent: pid of the supervisor.
        socket: descriptor of the stream to it.
        life: descriptor of a pipe that closes when the supervisor dies.
        paths: import paths; the first is the working directory.
        allow: prefixes of packages whose modules may be run.
        alive_lock: file that every process of the host holds a shared lock on.
    """

    parent: int
    socket: int
    life: int
    paths: tuple[str, ...]
    allow: tuple[str, ...]
    alive_lock: str


class Inspect(msgspec.Struct, array_like=True, tag=0):
    """Find the flow ``module:attribute`` and give its spec."""

    request: int
    locator: str


class Check(msgspec.Struct, array_like=True, tag=1):
    """Can every routine and exception class of this flow (encoded FlowSpec) be loaded here?

    ``by_routine`` asks for the files of each routine, too.
    """

    request: int
    flow: bytes
    by_routine: bool = False


class Fork(msgspec.Struct, array_like=True, tag=2):
    """Start an actor process.

    Attributes:
        request: echoed in the answer.
        process: its name, the ZeroMQ routing id that it shall use.
        endpoint: the supervisor's ipc endpoint for actor processes.
        flow: encoded FlowSpec.
        flow_digest: digest of it.
        routine: id of the routine that the process runs.
        page: path of its progress page (a file that exists, of the right size).
        blobs: folder of blob files.
        memory_limit: bytes of address space; None for no limit.
    """

    request: int
    process: str
    endpoint: str
    flow: bytes
    flow_digest: str
    routine: str
    page: str
    blobs: str
    memory_limit: int | None = None


class Shutdown(msgspec.Struct, array_like=True, tag=3):
    """Kill every process group and exit."""


ToZygote = Inspect | Check | Fork | Shutdown


class Started(msgspec.Struct, array_like=True, tag=0):
    """First message of a zygote, before any user code: its pid and whether it can fork."""

    pid: int


class Inspected(msgspec.Struct, array_like=True, tag=1):
    """Answer to Inspect and Check: the flow is loadable.

    Attributes:
        request: of the question.
        flow: encoded FlowSpec.
        code: fingerprint ``sha256:…`` over ``files``.
        files: (path relative to its root, sha256 hex) of every file under ``--path`` that the flow's
            modules loaded.
        forks: False where threads exist after the import, so that fresh interpreters are started.
        routines: routine → those of ``files`` that its module imports, itself included, directly or by
            others; empty unless asked for.
    """

    request: int
    flow: bytes
    code: str
    files: list[tuple[str, str]]
    forks: bool
    routines: dict[str, list[str]] = {}


class LoadFailed(msgspec.Struct, array_like=True, tag=2):
    """Answer to Inspect, Check or Fork: (kind, message) as of ``errors.to_wire``."""

    request: int
    kind: str
    message: str


class Forked(msgspec.Struct, array_like=True, tag=3):
    """Answer to Fork; with it come the child's pidfd and the read end of its output pipe."""

    request: int
    process: str
    pid: int


class Exited(msgspec.Struct, array_like=True, tag=4):
    """A forked process ended and was reaped; its whole group is dead.

    ``status`` is as in ``os.waitstatus_to_exitcode``: negative for a signal.
    """

    process: str
    pid: int
    status: int


FromZygote = Started | Inspected | LoadFailed | Forked | Exited

_ENCODER = msgspec.msgpack.Encoder()
_TO_ZYGOTE: FrameDecoder[ToZygote] = FrameDecoder(msgspec.msgpack.Decoder(ToZygote))
_FROM_ZYGOTE: FrameDecoder[FromZygote] = FrameDecoder(msgspec.msgpack.Decoder(FromZygote))


def encode(message: ToZygote | FromZygote) -> bytes:
    """Encode a message of either direction."""
    return _ENCODER.encode(message)


def decode_to_zygote(frame: bytes) -> ToZygote:
    """Decode what a supervisor sent.

    Raises:
        msgspec.DecodeError: if it is no such message.
    """
    return _TO_ZYGOTE.decode(frame)


def decode_from_zygote(frame: bytes) -> FromZygote:
    """Decode what a zygote sent.

    Raises:
        msgspec.DecodeError: if it is no such message.
    """
    return _FROM_ZYGOTE.decode(frame)
