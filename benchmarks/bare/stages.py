"""The processes of the bare loop: ``python -m benchmarks.bare.stages ENDPOINT NAME…``, one per name.

Each takes batches of messages and answers with batches of results; they are forked before ZeroMQ is used.
"""

from __future__ import annotations

import os
import sys

import msgspec
import zmq

Turns = list[tuple[int, bytes]]


def run_stage(endpoint: str, name: str) -> None:
    """Take batches of messages and answer with batches of results, until an empty frame comes."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.set(zmq.ROUTING_ID, name.encode())
    socket.connect(endpoint)
    socket.send(b"ready")
    decode = msgspec.msgpack.Decoder(Turns).decode
    encode = msgspec.msgpack.encode
    while frame := socket.recv():
        socket.send(encode([(number, data) for number, data in decode(frame)]))
    socket.close()
    context.term()


def main(endpoint: str, names: list[str]) -> None:
    """Fork a process per name and wait for all."""
    for name in names:
        if os.fork() == 0:
            run_stage(endpoint, name)
            os._exit(0)
    for _ in names:
        os.wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
