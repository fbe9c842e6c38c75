"""A client that floods, in a process of its own: ``python -m tests.integration.flooding PATH KIND COUNT``.

``rubbish`` sends damaged requests, ``requests`` asks for a job again and again; neither reads an answer
before all is sent. It says so on its output and reads on until a line comes in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice

import zmq

from sojourn.runtime.wire.client import Request, Show, encode
from tests.fuzzing.damage import damaged_frames
from tests.fuzzing.decoders import DECODERS


def frames(kind: str) -> Iterator[bytes]:
    """Give what is sent, without end."""
    if kind == "rubbish":
        [decoder] = [decoder for decoder in DECODERS if decoder.name == "requests of clients"]
        # nothing that could be a wish for the host to stop
        return (frame for frame in damaged_frames(2, decoder.samples) if b"down" not in frame)
    return iter(lambda: encode(Request(1, "", None, Show("job"))), b"")


def main(path: str, kind: str, count: int) -> None:
    """Send so many, say that it is done, and read the answers until nobody wants to know any more."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, 0)
        socket.connect(f"ipc://{path}")
        for frame in islice(frames(kind), count):
            socket.send(frame)
        print("sent", flush=True)
        sys.stdin.readline()
        while socket.poll(0):
            socket.recv()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
