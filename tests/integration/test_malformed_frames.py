"""What is malformed on a host's own sockets: counted, logged, answered, and without effect."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import zmq

from sojourn.hosts.home import Home
from sojourn.hosts.peers.limits import REFUSALS
from sojourn.runtime.wire.actor import Ending, Ready, Result, Results, encode
from sojourn.runtime.wire.client import Failure, decode_answer
from tests.integration.hosting import Host
from tests.waiting import wait_until

NESTED = b"\x91" * 200_000
RUBBISH = [random.Random(n).randbytes(n * 7) for n in range(1, 40)]
FRAMES: list[list[bytes]] = [
    [], [b""], [b"", b""], [b"a", b"b", b"c"], [b"\x90"], [b"\xc1"], [NESTED], [b"\xdd\xff\xff\xff\xff"],
    [b"\xa4\xff\xff\xff\xff"], *([frame] for frame in RUBBISH),
]


class Dial(Protocol):
    """Connects to a socket under a routing id."""

    def __call__(self, path: Path, name: bytes) -> zmq.Socket[bytes]: ...


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Connect sockets that are closed at the test's end."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made: list[zmq.Socket[bytes]] = []

    def connect(path: Path, name: bytes) -> zmq.Socket[bytes]:
        socket = context.socket(zmq.DEALER)
        made.append(socket)
        socket.set(zmq.ROUTING_ID, name)
        socket.connect(f"ipc://{path}")
        return socket

    yield connect
    for socket in made:
        socket.close(0)
    context.term()


def refused(host: Host) -> int:
    return sum(entry["event"] == "malformed message" for entry in host.log())


def test_malformed_requests_are_answered_and_change_nothing_and_others_are_served(
    host: Host, dial: Dial
) -> None:
    socket = dial(Home(host.home).client_socket, b"stranger")
    sent = [frames for frames in FRAMES if frames]
    for frames in sent:
        socket.send_multipart(frames)
    for _ in sent:
        assert socket.poll(10_000), "every malformed request is answered"
        answer = decode_answer(socket.recv())
        assert isinstance(answer, Failure)
        assert answer.kind in ("ProtocolViolation", "UsageError")
    assert refused(host) == REFUSALS
    (told,) = [entry for entry in host.log() if entry["event"] == "not listened to for a while"]
    assert told["sender"] == f"a client, process {os.getpid()}"
    assert host.do("jobs", "-o", "json") == "[]"


def test_malformed_results_and_those_of_strangers_change_nothing(
    host: Host, dial: Dial
) -> None:
    host.submit("points:asking", "job")
    before = host.wait("job", "status == 'paused'")
    socket = dial(Home(host.home).actors_socket, b"stranger")
    odd = dial(Home(host.home).actors_socket, b"\xff\xfe")
    for frames in FRAMES:
        if frames:
            socket.send_multipart(frames)
    odd.send(encode(Ready(1, "sha256:ab")))
    for dispatch in range(5):
        result = Result(dispatch, Ending.SUCCEEDED, 0.0, 0.0)
        socket.send(encode(Results([result], [])))
    sent = REFUSALS + 1  # then the stranger isn't listened to, but the odd one was
    wait_until(lambda: refused(host) == sent, what="every malformed frame to be refused")
    after = host.show("job")
    for name in ("history", "routines", "status", "waiting"):
        assert after[name] == before[name]
    host.do("resume", "job", "--input", '{"approved": true}')
    assert host.wait("job")["status"] == "completed"


def test_an_actor_process_that_sends_rubbish_is_ended_and_its_turn_runs_again_uncharged(
    host: Host, tmp_path: Path
) -> None:
    host.submit("babbling:babbling", "job", done=str(tmp_path / "done"), times=REFUSALS)
    host.submit("points:asking", "other")
    final = host.wait("job")
    assert final["result"] == {"attempt": 1}
    assert [entry["outcome"] for entry in final["history"]] == ["interrupted", "succeeded"]
    (told,) = [entry for entry in host.log() if entry["event"] == "not listened to for a while"]
    assert told["sender"] == "an actor process, babbling-1"
    assert host.wait("other", "status == 'paused'")
