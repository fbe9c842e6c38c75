"""This host's key file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import zmq

from sojourn.hosts.peers.keys import Keys, is_own_run, name_run
from sojourn.runtime.errors import HostUnable


def test_a_key_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    made = Keys.load_or_create(tmp_path)
    assert Keys.load_or_create(tmp_path) == made
    assert zmq.curve_public(made.secret.encode()).decode() == made.public
    assert [file.name for file in tmp_path.iterdir()] == ["host.key"]
    assert (tmp_path / "host.key").stat().st_mode & 0o777 == 0o600


def test_the_umask_does_not_open_a_key_to_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Keys.load_or_create(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "host.key").stat().st_mode & 0o777 == 0o600


def test_what_an_interrupted_start_left_is_replaced(tmp_path: Path) -> None:
    left = tmp_path / ".host.key.new"
    left.write_text("half a k")
    left.chmod(0o666)
    Keys.load_or_create(tmp_path)
    assert (tmp_path / "host.key").stat().st_mode & 0o777 == 0o600
    assert not left.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_read_is_refused_with_what_helps(tmp_path: Path, mode: int) -> None:
    Keys.load_or_create(tmp_path)
    path = tmp_path / "host.key"
    path.chmod(mode)
    with pytest.raises(HostUnable, match=f"`chmod 600 {path}`"):
        Keys.load_or_create(tmp_path)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, b"#" * 40, b"~" * 40, b"0" * 41])
def test_a_damaged_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "host.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(HostUnable, match=r"holds no key: put it back from a copy"):
        Keys.load_or_create(tmp_path)
    assert path.read_bytes() == content


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Keys.load_or_create(elsewhere)
    (tmp_path / "host.key").symlink_to(elsewhere / "host.key")
    with pytest.raises(HostUnable, match="no plain file"):
        Keys.load_or_create(tmp_path)


def test_a_link_to_nowhere_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "host.key").symlink_to(tmp_path / "nowhere")
    with pytest.raises(HostUnable, match="no plain file"):
        Keys.load_or_create(tmp_path)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_is_missing_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(HostUnable, match="can't be read or made"):
        Keys.load_or_create(tmp_path / "missing")


def test_only_the_owner_of_a_key_can_name_a_run(tmp_path: Path) -> None:
    keys = Keys.load_or_create(tmp_path)
    one, other = name_run(keys, "store", 3), name_run(keys, "store", 3)
    assert one != other
    assert is_own_run(keys, "store", 3, one)
    assert is_own_run(keys, "store", 3, other)
    assert not is_own_run(keys, "store", 4, one)
    assert not is_own_run(keys, "another store", 3, one)
    for made_up in ("", ".", one[:-1], "x" + one, one.partition(".")[0], "ä.ö"):
        assert not is_own_run(keys, "store", 3, made_up)
    public, secret = zmq.curve_keypair()
    assert not is_own_run(Keys(public.decode(), secret.decode()), "store", 3, one)
