"""A bare zygote: how long it takes until a forked process has said hello.

``python -m benchmarks.bare.forks ENDPOINT`` forks a child for every line on stdin; the child connects a
DEALER, says hello and ends. It imports what an actor process needs before the first fork.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgpack
import msgspec
import zmq

NEEDED = (msgpack, msgspec)
"""Imported before the fork, as a zygote does."""


class BareZygote:
    """Asks for forks and takes their hellos.

    Args:
        folder: for its socket.
    """

    def __init__(self, folder: Path) -> None:
        endpoint = f"ipc://{folder}/forks.sock"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.bind(endpoint)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare.forks", endpoint],
            stdin=subprocess.PIPE, text=True,
        )
        self.fork()

    def fork(self) -> float:
        """Ask for a process; give the seconds until its hello is here."""
        assert self._process.stdin is not None
        begun = time.perf_counter()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._router.recv_multipart()
        return time.perf_counter() - begun

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._router.close(0)
        self._context.term()


def hello(endpoint: str) -> None:
    """Live the life of a child."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(endpoint)
    socket.send(b"hello")
    socket.close()
    context.term()


def main(endpoint: str) -> None:
    """Fork when asked; children are reaped by the kernel."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in iter(sys.stdin.readline, ""):
        if os.fork() == 0:
            hello(endpoint)
            os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
