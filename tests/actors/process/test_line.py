"""Who looks after the line to the supervisor: the main thread, and another one while a turn takes long."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import zmq

from sojourn.actors.process.line import Line
from sojourn.actors.process.mailbox import Mailbox
from sojourn.runtime.wire.actor import (
    Dispatch,
    Ending,
    FromActor,
    Ready,
    Recall,
    Recalled,
    Result,
    Results,
    ToActor,
    Turn,
    Yield,
    decode_from_actor,
    encode,
)
from tests.waiting import wait_until


class Ends:
    """Both ends of a line, and the mailbox behind it.

    Args:
        folder: for the socket.
    """

    def __init__(self, folder: Path) -> None:
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.RCVTIMEO, 10_000)
        endpoint = f"ipc://{folder}/line"
        self._socket.bind(endpoint)
        self.mailbox = Mailbox()
        self.line = Line(endpoint, "process", self.mailbox)
        self.line.hello(Ready(1, "code"))
        assert self.receive() == Ready(1, "code")

    def send(self, message: ToActor) -> None:
        """Say something as the supervisor."""
        self._socket.send_multipart([b"process", encode(message)])

    def receive(self) -> FromActor:
        """Hear the next message as the supervisor."""
        return decode_from_actor(self._socket.recv_multipart()[1])

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Have a main thread wait for something to do, until the end of the block and until there is."""
        main = threading.Thread(target=self.line.wait, args=(self.mailbox.has_work,))
        main.start()
        yield
        main.join()

    def claim_turn(self) -> Turn:
        """Take the next turn, as the main thread would."""
        while not isinstance(entry := self.mailbox.claim(), Turn):
            assert entry is not None
        return entry

    def close(self) -> None:
        """End both."""
        self.mailbox.stop()
        self.line.finish()
        self._context.destroy(linger=0)


@pytest.fixture
def ends(tmp_path: Path) -> Generator[Ends]:
    made = Ends(tmp_path)
    yield made
    made.close()


def turns(*numbers: int) -> list[Turn]:
    return [Turn(n, 1, n, "input", 1, b"\x80") for n in numbers]


def test_a_process_that_had_nothing_to_do_for_long_hears_a_recall_while_its_next_turn_runs(
    ends: Ends,
) -> None:
    with ends.waiting():
        wait_until(lambda: vars(ends.line)["_asleep"], what="a second thread that sleeps")
        ends.send(Dispatch(0, [], turns(1, 2)))
    assert ends.claim_turn().dispatch == 1
    ends.send(Recall(7, None))
    assert ends.receive() == Recalled(7, [2], 1)


def test_the_main_thread_gets_the_line_back_after_a_turn_that_took_long(ends: Ends) -> None:
    for number in (1, 2):
        with ends.waiting():
            ends.send(Dispatch(0, [], turns(number)))
        ends.claim_turn()
        ends.send(Yield(number, None))
        wished = partial(ends.mailbox.should_yield, number)
        wait_until(wished, what="a wish that is heard while a turn runs")
        assert ends.mailbox.claim(Result(number, Ending.SUCCEEDED, 1.0, 2.0)) is None
        with ends.waiting():
            results = ends.receive()
            assert isinstance(results, Results)
            assert [one.dispatch for one in results.results] == [number]
            ends.send(Dispatch(0, [], []))
        assert ends.mailbox.claim() == Dispatch(0, [], [])


def test_results_of_short_turns_leave_between_two_turns_in_their_order(ends: Ends) -> None:
    ends.mailbox.deliver(Dispatch(0, [], turns(1, 2, 3)))
    ends.claim_turn()
    for number in (1, 2):
        ends.mailbox.claim(Result(number, Ending.SUCCEEDED, 1.0, 2.0))
    ends.line.glance()
    found: list[int] = []
    while len(found) < 2:
        batch = ends.receive()
        assert isinstance(batch, Results)
        found += [one.dispatch for one in batch.results]
    assert found == [1, 2]
