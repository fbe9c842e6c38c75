"""A bare CURVE line over TCP: its round trip, and how much it carries.

``python -m benchmarks.bare.curve PUBLIC SECRET`` is the other side: prints its address, and answers every
message with an empty one, except the chunks of a stream, which it only takes.
"""

from __future__ import annotations

import subprocess
import sys
import time

import zmq

CHUNK = 256 * 1024
"""Bytes of a message of a stream: the most that a hand-off sends at once."""

_ASK, _CHUNK, _END, _STOP = b"a", b"c", b"e", b"s"


class CurveLine:
    """This side of the line, and the process of the other one, over loopback."""

    def __init__(self) -> None:
        public, secret = zmq.curve_keypair()
        self._other = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare.curve", public.decode(), secret.decode()],
            stdout=subprocess.PIPE, text=True,
        )
        assert self._other.stdout is not None
        address = self._other.stdout.readline().strip()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.CURVE_SERVERKEY, public)
        self._socket.set(zmq.CURVE_PUBLICKEY, public)
        self._socket.set(zmq.CURVE_SECRETKEY, secret)
        self._socket.connect(address)
        self.round_trips(100)

    def round_trips(self, count: int) -> list[float]:
        """Send small messages, each after the answer to the one before; give the seconds of each."""
        taken: list[float] = []
        for _ in range(count):
            begun = time.perf_counter()
            self._socket.send(_ASK)
            self._socket.recv()
            taken.append(time.perf_counter() - begun)
        return taken

    def stream(self, size: int) -> float:
        """Send ``size`` bytes in chunks; give the seconds until the other side has said that it has all."""
        chunk = bytes(CHUNK)
        begun = time.perf_counter()
        for _ in range(max(1, size // CHUNK)):
            self._socket.send_multipart([_CHUNK, chunk])
        self._socket.send(_END)
        self._socket.recv()
        return time.perf_counter() - begun

    def close(self) -> None:
        """End the other side."""
        self._socket.send(_STOP)
        self._other.wait()
        if self._other.stdout is not None:
            self._other.stdout.close()
        self._socket.close()
        self._context.term()


def serve(public: str, secret: str) -> None:
    """Be the other side."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.set(zmq.CURVE_SERVER, 1)
    socket.set(zmq.CURVE_SECRETKEY, secret.encode())
    socket.set(zmq.CURVE_PUBLICKEY, public.encode())
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    print(f"tcp://127.0.0.1:{port}", flush=True)
    while True:
        name, kind, *_ = socket.recv_multipart()
        if kind == _STOP:
            break
        if kind != _CHUNK:
            socket.send_multipart([name, b""])
    socket.close(0)
    context.term()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
