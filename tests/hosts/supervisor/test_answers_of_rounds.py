"""When answers of a round leave: with it where nothing else has to be written, or with the next commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
import zmq

from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.doors import Came
from sojourn.hosts.supervisor.processes import LocalProcesses
from sojourn.hosts.supervisor.reactor import Reactor
from sojourn.runtime.engine.inputs import CancelJob, Create, Hold, Round
from sojourn.runtime.flow import encode_flow
from sojourn.runtime.wire.client import Answer, Request, Wait, decode_answer, encode
from tests.hosts.supervisor.test_watching import DATA, DIGEST, FLOW


class OneClient:
    """The doors of a host that one client came through, and no process."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.heard: list[Answer] = []

    def from_actors(self) -> Iterator[Came]:
        return iter(())

    def from_clients(self) -> Iterator[Came]:
        asked, self.asked = self.asked, []
        return iter([Came(b"client", [frame], True, lambda: "a client") for frame in asked])

    def to_actor(self, name: str, frame: bytes) -> str | None:
        raise AssertionError(f"there is no process {name}")

    def to_client(self, client: bytes, frame: bytes) -> bool:
        self.heard.append(decode_answer(frame))
        return True

    def wait(
        self, seconds: float, sockets: Iterable[zmq.Socket[bytes]], descriptors: Iterable[int]
    ) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def doors() -> OneClient:
    return OneClient()


@pytest.fixture
def reactor(core: Core, doors: OneClient) -> Reactor:
    """A host with a paused job, in row 1, whose end a client waits for."""
    reactor = Reactor(core, doors, LocalProcesses())
    core.round.writes.flows_put[DIGEST] = encode_flow(FLOW)
    plan = core.plan(DIGEST, encode_flow(FLOW))
    core.apply(Create(core.new_row("job"), "job", "instance", plan, DATA, ""), Hold(1))
    reactor.commit()
    doors.asked.append(encode(Request(1, "id", None, Wait(["job"]))))
    reactor.react()
    assert not doors.heard
    return reactor


def test_the_answer_to_a_wait_leaves_with_the_round_that_ends_the_job(
    core: Core, reactor: Reactor, doors: OneClient
) -> None:
    core.apply(CancelJob(1))
    reactor.react()
    assert [answer.request for answer in doors.heard] == [1]
    due = reactor.next_due()
    assert due is not None
    assert due > core.read_clocks().monotonic, "nothing is left to be done"


class Writer:
    """A part of the supervisor that has something to write whenever a round is on disk."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def sockets(self) -> list[zmq.Socket[bytes]]:
        return []

    def receive(self) -> None: ...
    def loaded(self, answer: object) -> None: ...
    def before_commit(self, round_: Round) -> None: ...

    def after_commit(self, committed: Round) -> None:
        if committed.ended:
            self._core.round.writes.meta_put["ended"] = "1"

    def deliver(self, peer: str, messages: object) -> None: ...
    def deliver_relayed(self, asker: object, answer: object) -> None: ...

    def tick(self) -> float | None:
        return None

    def close(self) -> None: ...


def test_an_answer_waits_for_what_has_to_be_written_beside_it(
    core: Core, reactor: Reactor, doors: OneClient
) -> None:
    reactor.parts.append(Writer(core))
    core.apply(CancelJob(1))
    reactor.react()
    assert not doors.heard
    reactor.react()
    assert core.store.meta()["ended"] == "1"
    assert [answer.request for answer in doors.heard] == [1]
