"""Files that were loaded are known to be the same without reading them, and to differ once they do."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from sojourn.hosts.current_files import SETTLED, CurrentFiles

OLD = b"old = 1\n"


def loaded(name: str, content: bytes) -> tuple[str, str]:
    return name, hashlib.sha256(content).hexdigest()


def later() -> int:
    """The time at which a file that was written just now counts as settled."""
    return time.time_ns() + 2 * SETTLED


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flow.py"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read, in order."""
    read: list[Path] = []
    read_bytes = Path.read_bytes

    def reading(path: Path) -> bytes:
        read.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", reading)
    return read


def test_a_file_that_nobody_changed_is_not_read_again(path: Path, reads: list[Path]) -> None:
    files = CurrentFiles([str(path.parent)], later)
    for _ in range(3):
        assert files.hold([loaded("flow.py", OLD)])
    assert reads == [path]


def test_a_file_that_was_changed_just_now_is_read_again_whatever_its_times_say(
    path: Path, reads: list[Path]
) -> None:
    """A second change within a tick of the file system's clock may leave no mark but the content."""
    files = CurrentFiles([str(path.parent)], lambda: path.stat().st_ctime_ns + SETTLED)
    for _ in range(3):
        assert files.hold([loaded("flow.py", OLD)])
    assert reads == [path] * 3


def test_a_change_that_leaves_size_and_time_of_change_is_seen(path: Path) -> None:
    files = CurrentFiles([str(path.parent)], later)
    before = path.stat()
    assert files.hold([loaded("flow.py", OLD)])
    path.write_bytes(b"old = 2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not files.hold([loaded("flow.py", OLD)])
    assert files.hold([loaded("flow.py", b"old = 2\n")])


def test_a_file_may_lie_in_any_of_the_folders_and_must_lie_in_one(path: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    files = CurrentFiles([str(first), str(tmp_path)], later)
    assert files.hold([loaded("flow.py", OLD)])
    (first / "flow.py").write_bytes(b"another")
    assert files.hold([loaded("flow.py", OLD)])
    path.unlink()
    assert not files.hold([loaded("flow.py", OLD)])
    assert files.hold([])
