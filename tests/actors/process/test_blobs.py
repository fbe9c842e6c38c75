"""Large values as files in the home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sojourn.actors.process.blobs import BlobFiles
from sojourn.runtime.errors import ValueMalformed
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
    with pytest.raises(ValueMalformed, match="damaged"):
        blobs.get(digest)


def test_a_missing_blob_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueMalformed, match=digest_of(b"abc")):
        BlobFiles(str(tmp_path)).get(digest_of(b"abc"))
