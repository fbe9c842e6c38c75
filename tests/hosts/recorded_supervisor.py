"""The other side of a client's socket: plays answers that a test wrote down, and keeps what was asked.

Holds the home's lock like a supervisor, so that a client takes it for one. Runs no jobs.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import zmq

from sojourn.hosts.home import Home
from sojourn.runtime.errors import SojournError, to_wire
from sojourn.runtime.wire.client import (
    Command,
    Failure,
    Progress,
    Reply,
    Request,
    decode_request,
    encode,
)
from tests.waiting import wait_until

Json = dict[str, Any]
FIRST_PID = 4_000_001
"""No process has it: Linux stops at 4194304, and nothing may be sent to it anyway."""


class News(msgspec.Struct):
    """An answer that isn't the last one."""

    body: Json


Said = Json | News | SojournError | bytes
"""A reply, news, a failure, or a frame as it is."""

Script = Callable[[Command], Sequence[Said]]


class RecordedSupervisor:
    """What a client believes to be the supervisor of a home.

    Args:
        root: the home.
        script: gives the answers to a command; none leaves the client waiting.
    """

    def __init__(self, root: Path, script: Script) -> None:
        self.home = Home(root)
        self.home.create()
        self.requests: list[Request] = []
        self.commands: list[Command] = []
        self._script = script
        self._over = threading.Event()
        self._lock = os.open(self.home.supervisor_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pid = FIRST_PID
        self._errors: list[BaseException] = []
        self._thread = self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_listening()
        os.close(self._lock)
        assert not self._errors, self._errors

    def await_requests(self, count: int = 1) -> None:
        """Wait until so many requests came."""
        wait_until(lambda: len(self.requests) >= count, what=f"request {count}")

    def free_lock(self) -> None:
        """Look like a supervisor that has ended."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def be_replaced(self, script: Script) -> None:
        """Look like another supervisor that took over, and that has heard nothing yet."""
        self.stop_listening()
        self._over.clear()
        self._script = script
        self._pid += 1
        self._thread = self._listen()

    def stop_listening(self) -> None:
        self._over.set()
        self._thread.join()

    def _listen(self) -> threading.Thread:
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(self._lock, str(self._pid).encode(), 0)
        thread = threading.Thread(target=self._answer_all, daemon=True)
        thread.start()
        return thread

    def _answer_all(self) -> None:
        try:
            with zmq.Context[zmq.Socket[bytes]]() as context, context.socket(zmq.ROUTER) as router:
                router.set(zmq.LINGER, 1000)
                router.bind(f"ipc://{self.home.client_socket}")
                while not self._over.is_set():
                    if router.poll(5):
                        client, frame = router.recv_multipart()
                        request = decode_request(frame)
                        self.requests.append(request)
                        self.commands.append(request.command)
                        for said in self._script(request.command):
                            router.send_multipart([client, _frame(request.request, said)])
        except BaseException as error:  # noqa: BLE001 - shown by the test, which has another thread
            self._errors.append(error)


def _frame(number: int, said: Said) -> bytes:
    match said:
        case bytes():
            return said
        case News():
            return encode(Progress(number, json.dumps(said.body).encode()))
        case SojournError():
            return encode(Failure(number, *to_wire(said)))
        case _:
            return encode(Reply(number, json.dumps(said).encode()))
