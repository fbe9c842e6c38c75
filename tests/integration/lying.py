"""A paired host that lies: its key and its store are real, its supervisor is a test.

It says what a host would say, what one said before, and what none would say.
"""

from __future__ import annotations

import random
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
import zmq

from sojourn.hosts.home import Home
from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.runtime.handoff.parts import encode_part, part_of
from sojourn.runtime.handoff.stream import OutgoingStream, cut
from sojourn.runtime.job import JobImage
from sojourn.runtime.wire.claims import Asking, Claim, Claims
from sojourn.runtime.wire.handoff import (
    Abort,
    Ack,
    ActorsStarted,
    Chunk,
    Closed,
    Commit,
    Credit,
    HandoffMessage,
    HandoffRefused,
    Measured,
    Offer,
    Preflight,
    PreflightReady,
    Prepared,
    Query,
    Superseded,
    Unknown,
    Waiting,
)
from sojourn.runtime.wire.peer import Hello, Known, PeerMessage, decode_all, encode
from tests.integration.hosting import Host

T = TypeVar("T", bound=PeerMessage)
PATIENCE = 20.0
EVERY_KIND: tuple[type[HandoffMessage], ...] = HandoffMessage.__args__


class Liar:
    """A raw connection to a host under the key of another one that is paired with it.

    Args:
        host: whose key it uses; its supervisor is down.
        to: the host that it lies to.

    Attributes:
        heard: everything that it was told.
    """

    def __init__(self, host: Host, to: Host) -> None:
        home = Home(host.home)
        keys = Keys.load_or_create(home.keys)
        store = SqliteStore.open(home.store, clock=time.time)
        self.name = host.name
        self.store_id = store.store_id
        [row] = [peer for peer in store.peers() if peer.name == to.name]
        self._hello = Hello(host.name, store.store_id, store.incarnation, 1, 1, None, str(uuid.uuid4()))
        store.close()
        self.heard: list[PeerMessage] = []
        self._came: list[PeerMessage] = []
        assert to.address is not None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.CURVE_SERVERKEY, row.public_key.encode())
        self.socket.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
        self.socket.set(zmq.CURVE_SECRETKEY, keys.secret.encode())
        self.socket.connect(to.address)
        self.greet()

    def greet(self, knows_you: Known | None = None) -> None:
        """Say HELLO and wait for the other's."""
        self.say(msgspec.structs.replace(self._hello, knows_you=knows_you))
        self.hear(Hello)

    def say(self, message: PeerMessage) -> None:
        """Send a message."""
        self.socket.send(encode(message))

    def hear(self, kind: type[T], where: Callable[[T], bool] = lambda _: True) -> T:
        """Wait for a message of a kind."""
        end = time.monotonic() + PATIENCE
        while (left := end - time.monotonic()) > 0:
            if self._came or self.socket.poll(int(left * 1000)):
                message = self._next()
                if isinstance(message, kind) and where(message):
                    return message
        raise AssertionError(f"waited {PATIENCE:g} s in vain for {kind.__name__}; heard {self.heard[-5:]}")

    def listen(self) -> None:
        """Take in what waits."""
        while self._came or self.socket.poll(0):
            self._next()

    def _next(self) -> PeerMessage:
        self._came = self._came or decode_all(self.socket.recv())
        message = self._came.pop(0)
        self.heard.append(message)
        return message

    def hand_over(self, image: JobImage, m: str) -> list[HandoffMessage]:
        """Hand a job over as an honest host would; give everything that was said for it."""
        head = image.head
        part = part_of(image, 0)
        stream = OutgoingStream(m)
        said: list[HandoffMessage] = [
            Preflight(m, head.job_id, head.instance, head.epoch, self.store_id, image.flow, "", [], 0)
        ]
        self.say(said[0])
        self.hear(PreflightReady)
        said.extend(stream.add(cut(encode_part(part))))
        said.append(
            Offer(
                m, head.job_id, head.instance, head.epoch, 1, stream.digest(), self.store_id, stream.count,
                stream.bytes_sent,
            )
        )
        for message in said[1:]:
            self.say(message)
        self.hear(Prepared)
        said.append(Commit(m, head.job_id, head.instance, head.epoch))
        self.say(said[-1])
        self.hear(Ack, lambda ack: ack.m == m)
        self.hear(ActorsStarted)
        said.append(Measured(m, {"freeze": 1.0}, 2.0))
        self.say(said[-1])
        return said

    def close(self) -> None:
        """Hang up."""
        self._context.destroy(linger=0)


@contextmanager
def lying(host: Host, to: Host) -> Generator[Liar]:
    """Lie to a host under the key of another one."""
    liar = Liar(host, to)
    try:
        yield liar
    finally:
        liar.close()


class Names:
    """What a lie may name: real things of others, and things that there aren't.

    Attributes:
        ms: hand-offs.
        jobs: (job id, instance).
        stores: store ids.
    """

    def __init__(self) -> None:
        self.ms: list[str] = [str(uuid.UUID(int=7)), ""]
        self.jobs: list[tuple[str, str]] = [("nobody's", "nobody's")]
        self.stores: list[str] = ["none"]


def lies(
    seed: int, names: Names, recorded: list[HandoffMessage], flow: bytes
) -> Iterator[PeerMessage]:
    """Give messages of a hand-off without end: recorded ones, changed ones and made up ones.

    Args:
        seed: of all that is random.
        names: what may be named; may grow meanwhile.
        recorded: what was said in hand-offs that were.
        flow: a flow that loads.
    """
    draw = random.Random(seed)

    def epoch() -> int:
        return draw.choice((0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 50, 1 << 52, sys.maxsize))

    def made_up() -> PeerMessage:
        m, store = draw.choice(names.ms), draw.choice(names.stores)
        job, instance = draw.choice(names.jobs)
        size = draw.choice((0, 1, 1000, 1 << 40))
        makers: tuple[Callable[[], PeerMessage], ...] = (
            lambda: Preflight(m, job, instance, epoch(), store, flow, "", [], size),
            lambda: Preflight(str(uuid.UUID(int=draw.getrandbits(128))), job, instance, epoch(), store,
                              flow, "", [], size),
            lambda: PreflightReady(m), lambda: HandoffRefused(m, "Refused", "no"),
            lambda: HandoffRefused(m, "TwoOwners", "two"),
            lambda: Chunk(m, draw.randrange(4), draw.randbytes(draw.choice((0, 10, 5000)))),
            lambda: Chunk(m, draw.randrange(4), draw.randbytes(20), "f" * 64, draw.random() < 0.5),
            lambda: Credit(m, draw.randrange(10), size), lambda: Waiting(m),
            lambda: Offer(m, job, instance, epoch(), 1, "d" * 64, store, draw.randrange(3), size),
            lambda: Prepared(m, "d" * 64, store, store), lambda: Commit(m, job, instance, epoch()),
            lambda: Ack(m, epoch(), store), lambda: Closed(m), lambda: Superseded(m, epoch()),
            lambda: Unknown(m, store), lambda: Abort(m, "because"),
            lambda: Query(m, job, instance, epoch(), store), lambda: ActorsStarted(m, 1.0),
            lambda: Measured(m, {"freeze": 1.0}, 1.0),
            lambda: Asking(draw.randrange(1 << 40), [job, "x"]),
            lambda: Claims(draw.choice((0, 1, 1 << 32, 2 << 32, (1 << 32) + 1)), [
                Claim(job, instance, epoch(), draw.choice(
                    ("owned", "released", "gone", "forgotten", "arriving", "else")
                ), draw.choice((None, "a", "b", "liar", "x")))
            ]),
        )
        return draw.choice(makers)()

    def changed(message: HandoffMessage) -> HandoffMessage:
        job, instance = draw.choice(names.jobs)
        values: dict[str, object] = {
            "m": draw.choice(names.ms), "epoch": epoch(), "digest": "d" * 64, "job_id": job,
            "instance": instance, "source_store": draw.choice(names.stores),
            "target_store": draw.choice(names.stores), "n": draw.randrange(5), "chunks": draw.randrange(5),
            "next_chunk": draw.randrange(5),
        }
        fields = [name for name in message.__struct_fields__ if name in values]
        name = draw.choice(fields)
        return msgspec.structs.replace(message, **{name: values[name]})

    while True:
        match draw.randrange(4):
            case 0:
                yield made_up()
            case 1:
                yield changed(draw.choice(recorded))
            case 2:
                yield draw.choice(recorded)
            case _:
                start = draw.randrange(len(recorded))
                yield from recorded[start : start + draw.randrange(1, 6)]
