"""Floods, rubbish, giants and half handshakes on every socket of a real supervisor: it goes on serving."""

from __future__ import annotations

import resource
import socket as sockets
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import psutil
import pytest
import zmq

from sojourn.hosts.home import Home
from sojourn.hosts.peers.limits import LARGEST_FRAME
from sojourn.runtime.wire.actor import Ending, Ready, Result, Results, encode
from sojourn.runtime.wire.client import LARGEST_REQUEST, Jobs, decode_answer
from sojourn.runtime.wire.peer import Hello
from tests.fuzzing.damage import damaged_frames
from tests.fuzzing.decoders import DECODERS
from tests.integration.hosting import Host, connected
from tests.integration.lying import lying
from tests.waiting import wait_until

MEGABYTE = 1024 * 1024
SOON = 10.0
"""Seconds within which any host answers, whatever is thrown at it, on a busy machine."""

ROOT = Path(__file__).parents[2]
CONNECTIONS = 10_000
STRANGERS = 150
SAMPLES = {decoder.name: decoder.samples for decoder in DECODERS}
GREETING = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE" + b"\0" * 47
"""ZMTP 3's, whole: what comes next is the handshake of CURVE."""


class Watched:
    """A host whose memory and log are watched.

    Args:
        host: it.
        megabytes: by which its supervisor may grow.
        lines: that its log may get.
    """

    def __init__(self, host: Host, *, megabytes: float = 150, lines: int = 500) -> None:
        self.host = host
        self._process = psutil.Process(host.pid)
        self._megabytes = self.memory() + megabytes
        self._lines = len(host.log()) + lines

    def memory(self) -> float:
        return float(self._process.memory_info().rss) / MEGABYTE

    def serves(self) -> None:
        """See that it answers another client soon, is bounded and runs."""
        begun = time.monotonic()
        self.host.ask(Jobs())
        assert time.monotonic() - begun < SOON
        assert self.host.running
        assert self.memory() < self._megabytes

    def is_quiet(self) -> None:
        """See that its log didn't get a line for each thing that was thrown at it."""
        assert len(self.host.log()) < self._lines


@contextmanager
def dealer(path: str, name: bytes = b"") -> Generator[zmq.Socket[bytes]]:
    """A raw client of a socket of this machine."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, 0)
        if name:
            socket.set(zmq.ROUTING_ID, name)
        socket.connect(path)
        yield socket


def place(host: Host) -> tuple[str, int]:
    """Where a host listens for others."""
    assert host.address is not None
    ip, _, port = host.address.removeprefix("tcp://").rpartition(":")
    return ip, int(port)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process have as many connections as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard == resource.RLIM_INFINITY or hard > CONNECTIONS + 500, "raise `ulimit -Hn`"
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def half_handshakes(host: Host, count: int) -> Generator[list[sockets.socket]]:
    """Connections that say nothing, the begin of a greeting, all of it and rubbish, or plain rubbish."""
    openings = (
        b"", GREETING[:10], GREETING, GREETING + b"\x04\x28\x05HELLO" + b"x" * 33, b"GET / HTTP/1.1\r\n",
    )
    made: list[sockets.socket] = []
    try:
        for number in range(count):
            connection = sockets.socket()
            made.append(connection)
            connection.setblocking(False)
            try:
                connection.connect(place(host))
            except BlockingIOError:
                pass  # it is on its way
            try:
                connection.send(openings[number % len(openings)])
            except OSError:
                pass  # it isn't there yet: one that says nothing
        yield made
    finally:
        for connection in made:
            connection.close()


# --- the port for other hosts -----------------------------------------------------------------------


def test_ten_thousand_connections_stop_neither_clients_nor_peers(
    pair: tuple[Host, Host], many_files: None
) -> None:
    a, b = pair
    watched = Watched(a)
    usual = psutil.Process(a.pid).num_fds()
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    with half_handshakes(a, CONNECTIONS):
        for _ in range(20):
            watched.serves()
        b.kill()
        b.up()
        wait_until(lambda: connected(b) and connected(a), 60.0, "b to be let in between all of them")
        a.migrate("job", b)
        watched.serves()
    wait_until(lambda: psutil.Process(a.pid).num_fds() < usual + 50, 60.0, "the connections to be over")
    watched.is_quiet()
    b.do("resume", "job", "--input", '{"approved": true}')
    assert b.wait("job")["status"] == "completed"


def test_a_host_takes_the_descriptors_that_it_may_have_and_gives_routines_what_it_got(
    tmp_path: Path, effects: Path, many_files: None
) -> None:
    few = Host(tmp_path, "few", effects, inside=("sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh"))
    try:
        few.up()
        with half_handshakes(few, 1000):
            for _ in range(5):
                few.do("jobs")
        few.submit("points:asking", "job")
        few.wait("job", "status == 'paused'")
        limits = [resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0] for process in few.processes()]
        assert set(limits) == {256}
    finally:
        few.close()


def test_strangers_with_keys_of_their_own_get_few_lines(host: Host) -> None:
    watched = Watched(host, lines=120)
    server = _server_key(host)
    with zmq.Context() as context:
        made: list[zmq.Socket[bytes]] = []
        for _ in range(STRANGERS):
            public, secret = zmq.curve_keypair()
            stranger = context.socket(zmq.DEALER)
            made.append(stranger)
            stranger.set(zmq.LINGER, 0)
            stranger.set(zmq.CURVE_SERVERKEY, server)
            stranger.set(zmq.CURVE_PUBLICKEY, public)
            stranger.set(zmq.CURVE_SECRETKEY, secret)
            stranger.connect(host.address or "")
            stranger.send(b"\x81\xa4type\xa5hello")
        wait_until(lambda: any("unknown key" in str(e) for e in host.log()), what="strangers to be refused")
        for _ in range(20):
            watched.serves()
        for stranger in made:
            stranger.close(0)
    watched.is_quiet()


def _server_key(host: Host) -> bytes:
    public: bytes = zmq.curve_public((Home(host.home).keys / "host.key").read_bytes().strip())
    return public


def test_rubbish_and_giants_of_a_trusted_key_change_nothing(pair: tuple[Host, Host]) -> None:
    a, b = pair
    b.terminate()
    watched = Watched(a)
    frames = damaged_frames(1, SAMPLES["messages of peers"])
    with lying(b, a) as liar:
        for _ in range(5):
            liar.socket.send(bytes(LARGEST_FRAME))
        watched.serves()
        for _ in range(3):
            for frame in islice(frames, 1000):
                liar.socket.send(frame)
            watched.serves()
        liar.socket.send_multipart([b"x" * 100] * 20_000)
        liar.socket.send(bytes(LARGEST_FRAME + 1))
        watched.serves()
    watched.serves()
    watched.is_quiet()


def test_a_flood_of_valid_messages_of_a_trusted_key_lets_clients_through(pair: tuple[Host, Host]) -> None:
    a, b = pair
    b.terminate()
    watched = Watched(a)
    samples = [frame for frame in SAMPLES["messages of peers"] if b"hello" not in frame]
    with lying(b, a) as liar:
        for _ in range(20):
            for _ in range(50):
                for frame in samples:
                    liar.socket.send(frame)
            watched.serves()
            liar.socket.poll(0)
        liar.listen()
        assert not [heard for heard in liar.heard[1:] if isinstance(heard, Hello) and heard.host != "a"]
    watched.serves()


# --- the sockets of this machine --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rubbish", "requests"])
def test_a_flood_of_a_client_lets_others_through(host: Host, kind: str) -> None:
    watched = Watched(host, lines=20_000)
    host.submit("points:asking", "job")
    host.wait("job", "status == 'paused'")
    command = [sys.executable, "-m", "tests.integration.flooding", str(Home(host.home).client_socket), kind]
    with subprocess.Popen(
        [*command, "4000"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as flood:
        assert flood.stdout is not None
        watched.serves()
        assert flood.stdout.readline() == "sent\n"
        for _ in range(5):
            watched.serves()
        flood.communicate("enough\n")
    assert host.show("job")["status"] == "paused"
    watched.serves()


def test_giants_of_a_client_are_cut_off_or_refused(host: Host) -> None:
    watched = Watched(host, megabytes=250)
    with dealer(f"ipc://{Home(host.home).client_socket}") as socket:
        socket.send_multipart([b"x" * 1000] * 50_000)
        assert socket.poll(int(SOON * 1000))
        decode_answer(socket.recv())
        watched.serves()
        socket.send(bytes(LARGEST_REQUEST + 1))
        watched.serves()
    watched.serves()


def test_a_flood_of_what_claims_to_be_a_process_touches_no_job(host: Host) -> None:
    watched = Watched(host, lines=20_000)
    host.submit("load:flaky", "job", n=20)
    frames = damaged_frames(3, SAMPLES["messages of actor processes"])
    with dealer(f"ipc://{Home(host.home).actors_socket}", b"work-1") as one, dealer(
        f"ipc://{Home(host.home).actors_socket}", b"stranger"
    ) as other:
        for socket in (one, other):
            socket.send(encode(Ready(1, "sha256:ab")))
            for frame in islice(frames, 3000):
                socket.send(frame)
            for dispatch in range(200):
                socket.send(encode(Results([Result(dispatch, Ending.SUCCEEDED, 1.0, 2.0)])))
            watched.serves()
    final = host.wait("job")
    assert sorted(final["result"]["got"]) == list(range(20))
    watched.serves()
