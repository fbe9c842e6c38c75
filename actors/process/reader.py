"""The reader thread: owns the socket to the supervisor and moves messages to and from the mailbox."""

from __future__ import annotations

import os

import msgspec
import zmq

from sojourn.actors.process.mailbox import Mailbox
from sojourn.runtime.wire.actor import (
    Committed,
    Dispatch,
    Forget,
    Ready,
    Recall,
    Results,
    Stop,
    ToActor,
    Unyield,
    Yield,
    decode_to_actor,
    encode,
)

MALFORMED_EXIT = 70
LINGER_MILLISECONDS = 2
"""How long a batch of results may grow while turns of microseconds follow each other: every batch costs
as much as many of them, here and at the supervisor. One that nothing more joins leaves at once."""

LARGEST_BATCH = 256 * 1024 * 1024


class Reader:
    """Moves messages between socket and mailbox until the process ends.

    Args:
        endpoint: the supervisor's endpoint for actor processes.
        process: routing id of this one.
        mailbox: shared with the main thread.
    """

    def __init__(self, endpoint: str, process: str, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.ROUTING_ID, process.encode())
        self._socket.set(zmq.LINGER, 1000)
        self._socket.set(zmq.SNDHWM, 0)
        self._socket.set(zmq.RCVHWM, 0)
        self._socket.set(zmq.MAXMSGSIZE, LARGEST_BATCH)
        self._socket.connect(endpoint)
        self._last = False

    def hello(self, ready: Ready) -> None:
        """Tell the supervisor that turns may come."""
        self._socket.send(encode(ready))

    def run(self) -> None:
        """Serve until ``finish``."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._mailbox.wake, zmq.POLLIN)
        while not self._last:
            came = poller.poll(LINGER_MILLISECONDS if self._mailbox.expected() else None)
            self._take_in(came)
            if came and self._mailbox.growing():
                self._take_in(poller.poll(LINGER_MILLISECONDS))
            self._send()
        self._send()
        self._socket.close()
        self._context.term()

    def finish(self) -> None:
        """Let ``run`` send what is left and end (called from the main thread)."""
        self._last = True
        os.eventfd_write(self._mailbox.wake, 1)

    def _take_in(self, ready: list[tuple[object, int]]) -> None:
        """Read what is ready, one message of the socket's, and nothing else.

        Each call gives the interpreter lock away; more than one message is seldom there.
        """
        for source, _ in ready:
            if source == self._mailbox.wake:
                self._drain_wake()
            else:
                self._receive()

    def _drain_wake(self) -> None:
        try:
            os.eventfd_read(self._mailbox.wake)
        except BlockingIOError:
            pass

    def _send(self) -> None:
        for message in self._mailbox.outgoing():
            frame = encode(message)
            if len(frame) > LARGEST_BATCH and isinstance(message, Results):
                for result in message.results:
                    self._socket.send(encode(Results([result], [])))
                frame = encode(Results([], message.logs))
            self._socket.send(frame)

    def _receive(self) -> None:
        try:
            frame = self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return
        try:
            message = decode_to_actor(frame)
        except msgspec.DecodeError as error:
            os.write(2, f"a malformed message from the supervisor: {error}\n".encode())
            os._exit(MALFORMED_EXIT)
        self._handle(message)

    def _handle(self, message: ToActor) -> None:
        mailbox = self._mailbox
        match message:
            case Dispatch():
                mailbox.deliver(message)
            case Recall():
                mailbox.recall(message)
            case Yield():
                mailbox.ask_to_yield(message)
            case Unyield():
                mailbox.call_off(message)
            case Committed():
                mailbox.grant(message)
            case Forget():
                mailbox.forget(message)
            case Stop():
                mailbox.stop()
