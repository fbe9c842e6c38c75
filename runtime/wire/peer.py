"""Messages between supervisors (CURVE over tcp). The hand-off's own messages are in ``handoff.py``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from sojourn.runtime.wire.claims import ClaimsMessage
from sojourn.runtime.wire.decoding import FrameDecoder
from sojourn.runtime.wire.handoff import HandoffMessage
from sojourn.runtime.wire.survey import SurveyMessage

MOST_HOSTS = 64
"""Hosts that a relayed command can have come through: more than any is let through."""

PROTOCOL_VERSIONS = (1, 1)
"""Lowest and highest version that this build speaks."""


class Known(msgspec.Struct, frozen=True):
    """Which run of a host another one has seen last: its store, that store's incarnation, and the run."""

    store_id: str
    incarnation: int
    run: str


class Hello(msgspec.Struct, tag="hello"):
    """First message of a connection, in both directions.

    Attributes:
        host: the sender's name.
        store_id: UUID of its store.
        incarnation: how often its store was opened by an ``up``.
        lowest: lowest protocol version that it speaks.
        highest: highest one.
        address: where it can be dialled; None if it can't.
        run: names this run of the sender's supervisor; only the sender can have made it.
        knows_you: what the sender has seen of the receiver last; None for nothing.
        your_role: what the receiver may do at the sender; empty where the sender doesn't say.
    """

    host: str
    store_id: str
    incarnation: int
    lowest: int
    highest: int
    address: str | None = None
    run: str = ""
    knows_you: Known | None = None
    your_role: str = ""


class HelloRefused(msgspec.Struct, tag="hello_refused"):
    """No common version, or the name belongs to another key."""

    kind: str
    message: str


class Pair(msgspec.Struct, tag="pair"):
    """Sent under an invitation's one-time key: the joiner's own name, key, address and store id."""

    host: str
    public_key: str
    address: str | None
    store_id: str


class Paired(msgspec.Struct, tag="paired"):
    """Answer to Pair: the inviting host's own."""

    host: str
    public_key: str
    address: str | None
    store_id: str


class PairRefused(msgspec.Struct, tag="pair_refused"):
    """The invitation was used or is over, or the name belongs to another key."""

    kind: str
    message: str


class RelayRequest(msgspec.Struct, tag="relay"):
    """A client's encoded Request that another host shall do; ``route`` are the hosts it came through."""

    relay: int
    request: bytes
    route: Annotated[list[str], msgspec.Meta(max_length=MOST_HOSTS)]


class RelayAnswer(msgspec.Struct, tag="relayed"):
    """An encoded Answer on its way back."""

    relay: int
    answer: bytes


class RelayReturned(msgspec.Struct, tag="relay_returned"):
    """The job of a relayed command has come back to ``host``, which is on the command's route."""

    relay: int
    host: str


class RelayDropped(msgspec.Struct, tag="relay_dropped"):
    """The client went away; the receiver stops following for it."""

    relay: int


class Cordoned(msgspec.Struct, tag="cordoned"):
    """Whether the sender takes new jobs; told at every change, and after HELLO where it doesn't."""

    on: bool


class Rejected(msgspec.Struct, tag="rejected"):
    """A message was malformed or not allowed; it changed nothing."""

    kind: str
    message: str


PeerMessage = (
    Hello | HelloRefused | Pair | Paired | PairRefused | RelayRequest | RelayAnswer | RelayReturned
    | RelayDropped | Cordoned | Rejected | ClaimsMessage | SurveyMessage | HandoffMessage
)

MOST_TOGETHER = 32
"""Messages of one frame."""

SMALL_FRAME = 128 * 1024
"""Bytes up to which messages share a frame: what is larger is better on its way while the next is read."""

_SHORT = 16
"""Elements from which on MessagePack writes the length of an array behind its kind."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: FrameDecoder[PeerMessage] = FrameDecoder(msgspec.msgpack.Decoder(PeerMessage))
_FRAME: FrameDecoder[PeerMessage | list[PeerMessage]] = FrameDecoder(msgspec.msgpack.Decoder(
    PeerMessage | Annotated[list[PeerMessage], msgspec.Meta(min_length=2, max_length=MOST_TOGETHER)]
))


def encode(message: PeerMessage) -> bytes:
    """Encode a message."""
    return _ENCODER.encode(message)


def decode(frame: bytes | memoryview) -> PeerMessage:
    """Decode a frame.

    Raises:
        msgspec.DecodeError: if it is no peer message.
    """
    return _DECODER.decode(frame)


def frames_of(messages: Iterable[PeerMessage]) -> Iterator[bytes]:
    """Encode messages for one peer: small ones that follow each other share a frame, as a list of them.

    What is decided in one round so arrives in one, and is answered in one.
    """
    together: list[bytes] = []
    size = 0
    for message in messages:
        encoded = encode(message)
        if together and (size + len(encoded) > SMALL_FRAME or len(together) == MOST_TOGETHER):
            yield _joined(together)
            together, size = [], 0
        together.append(encoded)
        size += len(encoded)
    if together:
        yield _joined(together)


def _joined(encoded: list[bytes]) -> bytes:
    if len(encoded) == 1:
        return encoded[0]
    count = len(encoded)
    head = bytes((0x90 | count,)) if count < _SHORT else b"\xdc" + count.to_bytes(2, "big")
    return head + b"".join(encoded)


def decode_all(frame: bytes | memoryview) -> list[PeerMessage]:
    """Decode a frame, which holds one message or several.

    Raises:
        msgspec.DecodeError: if it holds anything else.
    """
    found = _FRAME.decode(frame)
    return found if isinstance(found, list) else [found]
