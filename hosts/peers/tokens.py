"""The text that ``sojourn invite`` prints: address, key and a one-time secret, with a checksum."""

from __future__ import annotations

import base64
import binascii
import math
from hashlib import sha256

import msgspec
import zmq

from sojourn.hosts.peers.checks import is_address, is_key
from sojourn.runtime.errors import InvalidInput
from sojourn.runtime.job import InviteRow

PREFIX = "sojourn1-"
_CHECK = 6
_LONGEST = 4096
"""Characters; a real one has some 250."""


class Token(msgspec.Struct, array_like=True, frozen=True):
    """An invitation.

    Attributes:
        host: name of the host that invites.
        address: where it can be dialled.
        server_key: its public key.
        secret: one-time secret key of the joiner.
        expires_at: wall clock in seconds.
    """

    host: str
    address: str
    server_key: str
    secret: str
    expires_at: float


def make_invite(
    host: str, address: str, server_key: str, expires_at: float
) -> tuple[str, InviteRow]:
    """Make an invitation.

    Returns:
        The token's text, and what the inviting host remembers of it.
    """
    public, secret = zmq.curve_keypair()
    token = Token(host, address, server_key, secret.decode(), expires_at)
    return write_token(token), InviteRow(public.decode(), expires_at)


def write_token(token: Token) -> str:
    """Write a token as one word."""
    body = msgspec.msgpack.encode(token)
    body += sha256(body).digest()[:_CHECK]
    return PREFIX + base64.urlsafe_b64encode(body).decode().rstrip("=")


def read_token(text: str) -> Token:
    """Read a token; white space around it is let go.

    Raises:
        InvalidInput: if it is none, or was cut off or changed.
    """
    problem = InvalidInput(
        "this is no token, or not all of it: copy the whole line that `sojourn invite` printed"
    )
    word = text.strip()
    if not word.startswith(PREFIX) or len(word) > _LONGEST:
        raise problem
    coded = word[len(PREFIX) :]
    try:
        body = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
        if sha256(body[:-_CHECK]).digest()[:_CHECK] != body[-_CHECK:]:
            raise problem
        token = msgspec.msgpack.decode(body[:-_CHECK], type=Token)
    except (binascii.Error, ValueError, RecursionError, msgspec.DecodeError):
        raise problem from None
    if not (is_key(token.secret) and is_key(token.server_key) and is_address(token.address)):
        raise problem
    if not math.isfinite(token.expires_at):
        raise problem
    return token
