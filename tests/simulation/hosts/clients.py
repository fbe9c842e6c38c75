"""Someone at each host's client socket: asks, and asks again after a restart under the same command id."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from sojourn.runtime.wire.client import (
    Command,
    Failure,
    Progress,
    Request,
    decode_answer,
    encode,
)
from tests.simulation.hosts.schedule import Schedule

Body = dict[str, Any]
Done = Callable[[Body | Failure], None]


class Place(Protocol):
    """What a client needs of its host."""

    @property
    def name(self) -> str: ...
    @property
    def up(self) -> bool: ...
    def from_client(self, client: bytes, frame: bytes) -> None: ...


class Asked(msgspec.Struct):
    """A request without its answer."""

    request: Request
    done: Done


class SimClient:
    """All who ask one host.

    Args:
        place: the host.
        schedule: time and chance.
    """

    NAME = b"client"

    def __init__(self, place: Place, schedule: Schedule) -> None:
        self._place = place
        self._schedule = schedule
        self._next = 1
        self.open: dict[int, Asked] = {}

    def ask(self, command: Command, done: Done) -> None:
        """Ask for something; ``done`` gets the body of the reply, or the failure."""
        number = self._next
        self._next += 1
        command_id = f"{self._place.name}-{number}"
        asked = self.open[number] = Asked(Request(number, command_id, None, command), done)
        self._schedule.note("client", f"asks {self._place.name} for {type(command).__name__} ({number})")
        self._send(asked)

    def _send(self, asked: Asked) -> None:
        frame = encode(asked.request)
        self._schedule.after(
            self._schedule.draw(0.0001, 0.001), lambda: self._place.from_client(self.NAME, frame)
        )

    def ask_again(self) -> None:
        """Another supervisor took over: ask it what wasn't answered."""
        for asked in list(self.open.values()):
            self._send(asked)

    def hears(self, frame: bytes) -> None:
        """An answer arrives."""
        answer = decode_answer(frame)
        if isinstance(answer, Progress):
            return
        asked = self.open.pop(answer.request, None)
        if asked is None:
            return
        what = answer.message if isinstance(answer, Failure) else answer.body.decode()
        self._schedule.note("client", f"{self._place.name} answers {answer.request}: {what[:160]}")
        asked.done(answer if isinstance(answer, Failure) else json.loads(answer.body))
