"""This host's CURVE key pair: made once, readable by its owner only."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path

import msgspec
import zmq

from sojourn.hosts.peers.checks import is_key
from sojourn.runtime.errors import HostUnable


class Keys(msgspec.Struct, frozen=True):
    """A key pair in Z85 (ZeroMQ RFC 32)."""

    public: str
    secret: str

    @classmethod
    def load_or_create(cls, folder: Path) -> Keys:
        """Read the key of a home, or make it.

        Raises:
            HostUnable: if the file is damaged, can be read by others, or can't be read or written.
        """
        path = folder / "host.key"
        try:
            if not os.path.lexists(path):
                _create(path)
            return pair_of(_read(path), f"the key file {path}")
        except OSError as error:
            raise HostUnable(
                f"the key file {path} can't be read or made ({error.strerror}): "
                "give this user the right to, or choose another home with --home"
            ) from error


def _create(path: Path) -> None:
    """Make a key file so that it is there whole or not at all."""
    _, secret = zmq.curve_keypair()
    fresh = path.with_name(".host.key.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> str:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise HostUnable(
            f"{path} is no plain file: put this host's key there again, or remove it and pair anew"
        )
    if status.st_mode & 0o077:
        raise HostUnable(
            f"the key file {path} can be read by others: `chmod 600 {path}`, and pair anew if it leaked"
        )
    if os.geteuid() not in (0, status.st_uid):
        raise HostUnable(f"the key file {path} belongs to another user: run `sojourn up` as its owner")
    return path.read_text(encoding="ascii", errors="replace").strip()


def pair_of(secret: str, where: str) -> Keys:
    """Give the pair of a secret key.

    Raises:
        HostUnable: if it is no key.
    """
    if not is_key(secret):
        raise HostUnable(
            f"{where} holds no key: put it back from a copy, or remove it and pair anew with "
            "`sojourn invite`"
        )
    return Keys(zmq.curve_public(secret.encode()).decode(), secret)


def name_run(keys: Keys, store_id: str, incarnation: int) -> str:
    """Name a run of a supervisor so that only the owner of the key can have made the name.

    Peers are told it, and say which run they have seen last: one that makes runs up must not be believed.
    """
    nonce = secrets.token_hex(6)
    return f"{nonce}.{_proof(keys, store_id, incarnation, nonce)}"


def is_own_run(keys: Keys, store_id: str, incarnation: int, run: str) -> bool:
    """Tell whether a run that someone speaks of was one of this key's owner."""
    nonce, _, proof = run.partition(".")
    return hmac.compare_digest(proof.encode(), _proof(keys, store_id, incarnation, nonce).encode())


def _proof(keys: Keys, store_id: str, incarnation: int, nonce: str) -> str:
    said = f"run {store_id} {incarnation} {nonce}"
    return hmac.digest(keys.secret.encode(), said.encode(), "sha256").hex()[:32]
