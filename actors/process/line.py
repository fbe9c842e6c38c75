"""The line to the supervisor: a socket that one thread uses at a time, and who looks after it when.

The main thread does between its turns and while it has none, so that nothing is handed from thread to
thread then. While a turn takes long a second thread does, so that recalls and wishes are heard at any
time. Knows nothing of what the messages mean; that is the mailbox's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

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
LONG_TURN = 0.004
"""Seconds after which a turn is long. The second thread looks as often while turns run, so it takes over
at most twice that after a turn began."""

QUIET_LOOKS = 8
"""After so many looks that found the main thread waiting, the second sleeps until it is woken."""

LARGEST_BATCH = 256 * 1024 * 1024


class Line:
    """Moves messages between socket and mailbox until the process ends.

    Args:
        endpoint: the supervisor's endpoint for actor processes.
        process: routing id of this one.
        mailbox: where messages go and come from.
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
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(mailbox.wake, zmq.POLLIN)
        self._using = threading.Lock()
        """Who holds it may use the socket."""
        self._wanted = False
        """Whether the main thread waits for the second one to let the socket go."""
        self._waits = False
        """Whether the main thread looks after the socket until it has something to do."""
        self._asleep = False
        """Whether the second thread looks no more until the bell rings."""
        self._bell = threading.Lock()
        self._bell.acquire()
        self._last = False
        self._second = threading.Thread(target=self._look, name="sojourn-line", daemon=True)

    def hello(self, ready: Ready) -> None:
        """Tell the supervisor that turns may come, and look after the line from now on."""
        self._socket.send(encode(ready))
        self._second.start()

    # --- the main thread's side ---------------------------------------------------------------

    def wait(self, until: Callable[[], bool]) -> None:
        """Send what is outgoing, then take messages in until something holds."""
        self._waits = True
        self._take_over()
        try:
            self._send()
            while not until():
                self._take_in(self._poller.poll())
                self._send()
        finally:
            self._using.release()
            self._waits = False
        if self._asleep:
            self._ring()

    def glance(self) -> None:
        """Send and take in what is there, between two turns."""
        if self._using.acquire(blocking=False):
            try:
                self._send()
                self._take_in(self._poller.poll(0))
                if self._mailbox.urgent:
                    self._send()
            finally:
                self._using.release()
        else:
            self._wake()  # the second thread shall see that the long turn is over

    def finish(self) -> None:
        """Send what is left, and end."""
        self._last = True
        self._wake()
        self._ring()
        self._second.join()
        self._send()
        self._socket.close()
        self._context.term()

    def _take_over(self) -> None:
        if not self._using.acquire(blocking=False):
            self._wanted = True
            self._wake()
            self._using.acquire()
            self._wanted = False

    def _ring(self) -> None:
        if self._bell.locked():
            self._bell.release()

    # --- the second thread --------------------------------------------------------------------

    def _look(self) -> None:
        """Look every now and then whether a turn takes long, and look after the line meanwhile."""
        quiet = 0
        seen = -1
        while not self._last:
            self._bell.acquire(timeout=LONG_TURN)
            turn = self._mailbox.handed_in
            if self._waits:
                quiet += 1
                if quiet > QUIET_LOOKS:
                    self._sleep()
                    quiet = 0
            elif turn != seen:
                quiet = 0
            elif self._using.acquire(blocking=False):
                try:
                    self._look_after(turn)
                finally:
                    self._using.release()
            seen = turn

    def _sleep(self) -> None:
        self._asleep = True
        # Each side says what it does and looks at the other then, so that somebody rings.
        if self._waits and not self._last:
            self._bell.acquire()
        self._asleep = False

    def _look_after(self, turn: int) -> None:
        """Serve the socket until a turn is over or the main thread wants it."""
        while self._mailbox.handed_in == turn and not (self._wanted or self._last):
            self._send()
            self._take_in(self._poller.poll())

    # --- who holds the socket -----------------------------------------------------------------

    def _wake(self) -> None:
        """Let who waits for the socket look up."""
        os.eventfd_write(self._mailbox.wake, 1)

    def _take_in(self, ready: list[tuple[object, int]]) -> None:
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
        """Take in all that is there, so that what came in many pieces is done in one go."""
        while True:
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
