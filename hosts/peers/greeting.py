"""HELLO: who may call itself what, and which protocol version two hosts speak."""

from __future__ import annotations

from sojourn.runtime.errors import AccessDenied, ProtocolViolation
from sojourn.runtime.wire.peer import Hello, HelloRefused


def judge(own: Hello, peer: str, hello: Hello) -> int | HelloRefused:
    """Give the protocol version to speak, or what speaks against this HELLO.

    Args:
        own: what this host says of itself.
        peer: the name under which the sender's key is known.
        hello: what it sent.
    """
    if hello.host != peer:
        return HelloRefused(
            AccessDenied.__name__,
            f"host {own.host!r} knows this key as host {peer!r}, but its owner calls itself "
            f"{hello.host!r}: start it under its old name, or pair anew with `sojourn invite`",
        )
    version = min(own.highest, hello.highest)
    if version < max(own.lowest, hello.lowest):
        return HelloRefused(
            ProtocolViolation.__name__,
            f"host {own.host!r} speaks protocol versions {own.lowest} to {own.highest}, host "
            f"{hello.host!r} {hello.lowest} to {hello.highest}: update the older one",
        )
    return version
