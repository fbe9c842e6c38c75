"""Blobs whose file lost a bit, or is gone: found where they are read, never given away, mended again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import MakeHost
from tests.integration.disks import flip_bit
from tests.integration.hosting import Host, Json, pair_hosts

SIZE = 300_000


def begin(host: Host, job: str = "job") -> Path:
    """Let a job keep a large attribute and wait for an answer; give its blob's file."""
    known = set((host.home / "blobs").iterdir())
    host.submit("large:large", job, size=SIZE)
    host.wait(job, "status == 'paused'")
    found = set((host.home / "blobs").iterdir())
    (blob,) = found - known or found
    return blob


def answer(host: Host, job: str = "job") -> None:
    """Answer the job's question, for which its large attribute is read."""
    host.do("resume", job, "--input", json.dumps({"size": SIZE}))


def check_whole(final: Json) -> None:
    """The job got its value, and no attempt was charged for the disk's fault."""
    assert (final["status"], final["result"]) == ("completed", {"same": True})
    charged = [entry for entry in final["history"] if entry["outcome"] != "interrupted"]
    assert [(entry["slot"], entry["attempt"]) for entry in charged] == [("input", 1), ("answer", 1)]


@pytest.mark.parametrize("fault", ["flipped", "missing", "cut"])
def test_a_job_whose_blob_is_damaged_is_blocked_alone_and_goes_on_once_it_is_put_back(
    host: Host, tmp_path: Path, fault: str
) -> None:
    blob = begin(host)
    copy = tmp_path / "copy"
    copy.write_bytes(blob.read_bytes())
    host.terminate()
    match fault:
        case "flipped":
            flip_bit(blob, SIZE // 2)
        case "cut":
            blob.write_bytes(blob.read_bytes()[:-1])
        case _:
            blob.unlink()
    host.up()
    answer(host)
    blocked = host.wait("job", "status == 'blocked'")
    assert blob.name in blocked["reason"]
    assert "sojourn retry job" in blocked["reason"]
    assert ("No such file" in blocked["reason"]) == (fault == "missing")
    host.submit("queues:slow", "other", n=5)
    assert host.wait("other")["status"] == "completed"
    host.do("retry", "job")
    assert host.wait("job", "status == 'blocked'")["reason"] == blocked["reason"]
    blob.write_bytes(copy.read_bytes())
    host.do("retry", "job")
    check_whole(host.wait("job"))


def test_a_damaged_blob_is_mended_by_the_same_value(host: Host) -> None:
    blob = begin(host)
    host.terminate()
    flip_bit(blob, 7)
    host.up()
    answer(host)
    host.wait("job", "status == 'blocked'")
    begin(host, "another")
    host.do("retry", "job")
    check_whole(host.wait("job"))


def test_a_damaged_blob_is_mended_by_an_import(host: Host, tmp_path: Path) -> None:
    blob = begin(host)
    host.do("export", "job", str(tmp_path / "file"))
    host.terminate()
    flip_bit(blob, 7)
    host.up()
    answer(host)
    host.wait("job", "status == 'blocked'")
    host.do("import", str(tmp_path / "file"))
    host.do("retry", "job")
    check_whole(host.wait("job"))


@pytest.mark.parametrize("release", [False, True])
def test_a_damaged_blob_is_not_exported(pair: tuple[Host, Host], tmp_path: Path, release: bool) -> None:
    a, _ = pair
    blob = begin(a)
    flip_bit(blob, 7)
    file = tmp_path / "file"
    options = ("--release", "--to", "b") if release else ()
    done = a.run("export", "job", str(file), *options)
    assert done.returncode == (7 if release else 6), done.stderr
    assert blob.name in done.stderr
    assert "is damaged" in done.stderr
    assert not list(tmp_path.glob("*file*"))
    assert a.show("job")["status"] == "paused"
    flip_bit(blob, 7)
    a.do("export", "job", str(file))
    answer(a)
    check_whole(a.wait("job"))


def test_a_damaged_blob_is_not_moved_and_the_job_stays_where_it_is(pair: tuple[Host, Host]) -> None:
    a, b = pair
    blob = begin(a)
    flip_bit(blob, 7)
    done = a.run("migrate", "job", "--to", "b")
    assert done.returncode == 7, done.stderr
    assert f"blob {blob.name} of job job on host 'a' is damaged" in done.stderr
    assert "stays on host 'a'" in done.stderr
    assert not (b.home / "blobs" / blob.name).exists()
    assert b.run("show", "job").returncode == 3
    flip_bit(blob, 7)
    a.do("migrate", "job", "--to", "b")
    answer(b)
    check_whole(b.wait("job"))


def test_a_target_whose_copy_of_a_blob_is_damaged_takes_it_anew(make_host: MakeHost) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    pair_hosts(a, b)
    blob = begin(a)
    there = b.home / "blobs" / blob.name
    there.write_bytes(blob.read_bytes())
    flip_bit(there, 7)
    moved = a.migrate("job", b)
    assert moved.bytes > SIZE
    assert there.read_bytes() == blob.read_bytes()
    answer(b)
    check_whole(b.wait("job"))
