"""A client's line to its supervisor: requests out, progress and answers in.

Finds out at once when no supervisor runs, also while it waits: the supervisor's lock on the home tells.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import zmq

from sojourn.hosts.home import Home
from sojourn.hosts.orphans import supervisor_pid
from sojourn.runtime.errors import NoSupervisor, ProtocolViolation, WaitTimedOut, from_wire
from sojourn.runtime.wire.client import (
    Command,
    Failure,
    Progress,
    Request,
    decode_answer,
    encode,
)

SLICE_MS = 250
"""Milliseconds between two looks at whether the supervisor still runs."""

Body = dict[str, Any]


class Connection:
    """A line to the supervisor of a home.

    Args:
        home: whose supervisor.
        host: host that shall do what is asked; None for that one itself.

    Raises:
        NoSupervisor: if none runs.
    """

    def __init__(self, home: Home, *, host: str | None = None) -> None:
        self._home = home
        self._host = host
        self._check_alive("start one with")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, 0)
        self._socket.set(zmq.RCVHWM, 0)
        self._socket.connect(f"ipc://{home.client_socket}")
        self._next = 1

    def _check_alive(self, advice: str) -> None:
        if supervisor_pid(self._home) is None:
            raise NoSupervisor(
                f"no supervisor runs on {self._home.root}: {advice} "
                f"`sojourn up --home {self._home.root}`"
            )

    def request(
        self,
        command: Command,
        *,
        on_progress: Callable[[Body], None] | None = None,
        timeout: float | None = None,
        command_id: str | None = None,
    ) -> Body:
        """Ask for something and wait for the answer.

        Args:
            command: what.
            on_progress: gets the news meanwhile.
            timeout: seconds; None to wait as long as the supervisor runs.
            command_id: id under which it is done once; None for a new one.

        Returns:
            The answer's body.

        Raises:
            SojournError: whatever the supervisor answers.
            NoSupervisor: if it went away.
            WaitTimedOut: after ``timeout``.
        """
        number = self._next
        self._next += 1
        request = Request(number, command_id or str(uuid.uuid4()), self._host, command)
        self._socket.send(encode(request))
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            frame = self._receive(deadline)
            try:
                answer = decode_answer(frame)
            except msgspec.DecodeError as error:
                raise ProtocolViolation(
                    f"the supervisor of {self._home.root} answered something malformed ({error}): is "
                    "it of this sojourn's version?"
                ) from error
            if answer.request not in (number, 0):
                continue
            if isinstance(answer, Failure):
                raise from_wire(answer.kind, answer.message)
            body: Body = json.loads(answer.body)
            if not isinstance(answer, Progress):
                return body
            if on_progress is not None:
                on_progress(body)

    def _receive(self, deadline: float | None) -> bytes:
        while True:
            wait = SLICE_MS
            if deadline is not None:
                wait = max(0, min(wait, int((deadline - time.monotonic()) * 1000)))
            if self._socket.poll(wait):
                return self._socket.recv()
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimedOut(f"the supervisor of {self._home.root} didn't answer in time")
            self._check_alive("it went away; its jobs go on once it runs again:")

    def close(self) -> None:
        """Hang up. What was asked for goes on."""
        self._socket.close()
        self._context.term()
