"""This host's CURVE key pair: made once, readable by its owner only."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import zmq

from sojourn.runtime.errors import HostUnable

KEY_CHARACTERS = 40
"""Length of a key in Z85."""


class Keys(msgspec.Struct, frozen=True):
    """A key pair in Z85 (ZeroMQ RFC 32)."""

    public: str
    secret: str

    @classmethod
    def load_or_create(cls, folder: Path) -> Keys:
        """Read the key of a home, or make it.

        Raises:
            HostUnable: if the file is damaged or can be read by others.
        """
        path = folder / "host.key"
        if not path.exists():
            _, secret = zmq.curve_keypair()
            fresh = path.with_name(".host.key.new")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secret)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        if path.stat().st_mode & 0o077:
            raise HostUnable(
                f"the key {path} can be read by others: `chmod 600 {path}`, and pair anew if it leaked"
            )
        return pair_of(path.read_text(errors="replace").strip(), str(path))


def pair_of(secret: str, where: str) -> Keys:
    """Give the pair of a secret key.

    Raises:
        HostUnable: if it is no key.
    """
    try:
        if len(secret) != KEY_CHARACTERS:
            raise ValueError("wrong length")
        return Keys(zmq.curve_public(secret.encode()).decode(), secret)
    except (ValueError, zmq.ZMQError) as error:
        raise HostUnable(
            f"{where} holds no key ({error}): put it back from a copy, or remove it and pair anew"
        ) from error
