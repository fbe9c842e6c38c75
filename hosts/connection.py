"""A client's line to its supervisor: requests out, progress and answers in.

Finds out at once when no supervisor runs, also while it waits: the supervisor's lock on the home tells.
Where another one took over meanwhile, it is asked again, under the same command id. Not thread-safe.
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
from sojourn.runtime.errors import NoSupervisor, ProtocolViolation, UsageError, WaitTimedOut, from_wire
from sojourn.runtime.wire.client import (
    LARGEST_REQUEST,
    Answer,
    Command,
    Failure,
    Logs,
    Progress,
    Request,
    after_news,
    after_waiting,
    decode_answer,
    decode_request,
    encode,
)

SLICE_MS = 250
"""Milliseconds between two looks at whether the supervisor still runs."""

LAST_WORDS_MS = 100
"""Milliseconds for an answer that a supervisor sent just before it ended."""

Body = dict[str, Any]
"""JSON: what is in it is known by the command that was asked."""


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
        self._supervisor = self._look("start one with")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, 0)
        self._socket.set(zmq.RCVHWM, 0)
        self._socket.connect(f"ipc://{home.client_socket}")
        self._next = 1

    def _look(self, advice: str) -> int:
        """Give the pid of the supervisor that runs, 0 where it hasn't written it yet."""
        pid = supervisor_pid(self._home)
        if pid is None:
            raise NoSupervisor(
                f"no supervisor runs on {self._home.root}: {advice} `sojourn up --home {self._home.root}`"
            )
        return pid

    def request(
        self,
        command: Command,
        *,
        on_progress: Callable[[Body], None] | None = None,
        timeout: float | None = None,
        command_id: str | None = None,
    ) -> Body:
        """Ask for something and wait for the answer, read.

        Args:
            command: what.
            on_progress: gets the news meanwhile.
            timeout: as of ``exchange``, and so is the other.
            command_id: see there.
        """
        def tell(body: bytes) -> None:
            if on_progress is not None:
                on_progress(json.loads(body))

        found: Body = json.loads(self.exchange(command, tell, timeout=timeout, command_id=command_id))
        return found

    def exchange(
        self,
        command: Command,
        on_progress: Callable[[bytes], None],
        *,
        timeout: float | None = None,
        command_id: str | None = None,
    ) -> bytes:
        """Ask for something and wait for the answer.

        Args:
            command: what.
            on_progress: gets the bodies of the news meanwhile.
            timeout: seconds; None to wait as long as the supervisor runs.
            command_id: id under which it is done once; None for a new one.

        Returns:
            The answer's body.

        Raises:
            SojournError: whatever the supervisor answers.
            UsageError: if it is larger than a supervisor accepts, or holds what a command can't have.
            NoSupervisor: if it went away.
            WaitTimedOut: after ``timeout``.
        """
        request = Request(self._next, command_id or str(uuid.uuid4()), self._host, command)
        self._next += 1
        asked_at = time.monotonic()
        self._send(request)
        while True:
            frame = self._receive(None if timeout is None else asked_at + timeout)
            if frame is None:
                self._send(after_waiting(request, time.monotonic() - asked_at))
                continue
            answer = self._decoded(frame)
            # 0 is what a supervisor answers to a request that it couldn't read.
            if answer.request not in (request.request, 0):
                continue
            if isinstance(answer, Failure):
                raise from_wire(answer.kind, answer.message)
            if not isinstance(answer, Progress):
                return answer.body
            if isinstance(command, Logs):
                request = after_news(request, json.loads(answer.body))
            on_progress(answer.body)

    def _send(self, request: Request) -> None:
        frame = encode(request)
        if len(frame) > LARGEST_REQUEST:
            raise UsageError(
                f"the request has {len(frame)} bytes, and a supervisor accepts {LARGEST_REQUEST}: "
                "send less at once"
            )
        try:
            decode_request(frame)
        except msgspec.DecodeError as error:
            raise UsageError(
                f"a {type(request.command).__name__.lower()} can't be asked for like that: {error}"
            ) from None
        self._socket.send(frame)

    def _receive(self, deadline: float | None) -> bytes | None:
        """Wait for a frame; None where another supervisor took over, which was asked nothing yet."""
        while True:
            wait = SLICE_MS
            if deadline is not None:
                wait = max(0, min(wait, int((deadline - time.monotonic()) * 1000)))
            if self._socket.poll(wait):
                return self._socket.recv()
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimedOut(f"the supervisor of {self._home.root} didn't answer in time")
            try:
                seen = self._look("it went away; its jobs go on once it runs again:")
            except NoSupervisor:
                if self._socket.poll(LAST_WORDS_MS):
                    return self._socket.recv()
                raise
            known, self._supervisor = self._supervisor, seen or self._supervisor
            if 0 != known != self._supervisor:
                return None

    def _decoded(self, frame: bytes) -> Answer:
        try:
            return decode_answer(frame)
        except msgspec.DecodeError as error:
            raise ProtocolViolation(
                f"the supervisor of {self._home.root} answered something malformed ({error}): is it of "
                "this sojourn's version?"
            ) from error

    def close(self) -> None:
        """Hang up. What was asked for goes on."""
        self._socket.close()
        self._context.term()
