"""Large values as files in the home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sojourn.actors.process.blobs import BlobFiles
from sojourn.actors.turn_errors import HostFails
from sojourn.runtime.values import digest_of


def test_the_same_bytes_are_kept_once_and_found_again(tmp_path: Path) -> None:
    blobs = BlobFiles(str(tmp_path))
    first, second = blobs.put(b"x" * 100), blobs.put(b"x" * 100)
    assert first == second
    assert first.size == 100
    assert [path.name for path in tmp_path.iterdir()] == [first.digest]
    assert blobs.get(first.digest) == b"x" * 100


def test_a_blob_that_is_wanted_again_is_no_old_file(tmp_path: Path) -> None:
    blobs = BlobFiles(str(tmp_path))
    path = tmp_path / blobs.put(b"x").digest
    os.utime(path, (1, 1))
    blobs.put(b"x")
    assert path.stat().st_mtime > 1


@pytest.mark.parametrize("content", [b"", b"abd", b"abcd"])
def test_a_damaged_blob_is_refused(tmp_path: Path, content: bytes) -> None:
    blobs = BlobFiles(str(tmp_path))
    digest = blobs.put(b"abc").digest
    (tmp_path / digest).write_bytes(content)
    with pytest.raises(HostFails, match="damaged"):
        blobs.get(digest)


def test_a_missing_blob_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostFails, match=digest_of(b"abc")):
        BlobFiles(str(tmp_path)).get(digest_of(b"abc"))


@pytest.mark.parametrize("content", [b"", b"abd", b"abcd"])
def test_the_same_bytes_replace_a_file_that_is_damaged(tmp_path: Path, content: bytes) -> None:
    blobs = BlobFiles(str(tmp_path))
    digest = blobs.put(b"abc").digest
    (tmp_path / digest).write_bytes(content)
    blobs.put(b"abc")
    assert blobs.get(digest) == b"abc"
    assert [path.name for path in tmp_path.iterdir()] == [digest]


def test_a_folder_that_takes_nothing_is_the_hosts_fault(tmp_path: Path) -> None:
    with pytest.raises(HostFails, match="No such file or directory"):
        BlobFiles(str(tmp_path / "gone")).put(b"abc")
