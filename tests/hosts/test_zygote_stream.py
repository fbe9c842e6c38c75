"""What a module that a zygote imports can do with the zygote's socket: end its own code base, no more."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from sojourn.runtime.wire.framing import frame
from sojourn.runtime.wire.zygote import Exited, Forked, FromZygote, Inspected, LoadFailed, Started, encode
from tests.hosts.tiny_supervisor import TinySupervisor, is_gone, write_module
from tests.waiting import wait_until


def framed(message: FromZygote) -> bytes:
    return frame(encode(message))


LIES = {
    "rubbish": frame(b"\xc1"),
    "a nested message": frame(b"\x91" * 200_000),
    "a frame that claims too much": b"\xff\xff\xff\xff",
    "a second start": framed(Started(1)),
    "the end of a process that it never had": framed(Exited("p", 1, 0)),
    "an answer to nothing": framed(Inspected(99, b"", "", [], True)),
    "a failure of nothing": framed(LoadFailed(99, "NotFound", "no")),
    "a process without descriptors": framed(Forked(1, "p", 1)),
    "a process that nobody wanted": framed(Forked(99, "p", 1)),
}

LIAR = """
    import os, socket

    def speak(data, descriptors=()):
        for number in range(3, 64):
            try:
                line = socket.socket(fileno=os.dup(number))
            except OSError:
                continue
            if line.family == socket.AF_UNIX and line.type == socket.SOCK_STREAM:
                line.setblocking(True)
                if descriptors:
                    socket.send_fds(line, [data], descriptors)
                else:
                    line.sendall(data)
            line.close()
"""


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def ends_alone(folder: Path, code: Path, statement: str) -> str:
    """See that a module's lie ends its zygote, and give how that is told."""
    write_module(code, "liar", textwrap.dedent(LIAR) + f"\n{statement}\n")
    with TinySupervisor(folder / "other") as other, TinySupervisor(folder / "liar", paths=[code]) as liar:
        answer = liar.refused("liar:flow")
        assert answer.kind == "CodeNotLoadable"
        assert liar.zygote.dead
        wait_until(lambda: is_gone(liar.zygote.pid), what="the zygote to be gone")
        assert other.inspected().code
    return answer.message


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.replace(" ", "-"))
def test_a_message_that_cannot_come_ends_the_zygote_and_no_other(tmp_path: Path, lie: str) -> None:
    code = tmp_path / "code"
    code.mkdir()
    told = ends_alone(tmp_path, code, f"speak({LIES[lie]!r})")
    assert "sent what can't be read" in told


def test_descriptors_that_nobody_asked_for_end_the_zygote_and_are_closed(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    before = descriptors()
    told = ends_alone(tmp_path, code, "for _ in range(20): speak(b'\\0\\0\\0\\0', [0] * 10)")
    assert "can't be read" in told or "found no room" in told
    wait_until(lambda: descriptors() <= before, what="every descriptor to be closed")


def test_a_zygote_that_speaks_without_end_holds_no_look_up(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    claims = (60 * 1024 * 1024).to_bytes(4, "little")
    write_module(
        code, "liar",
        textwrap.dedent(LIAR) + f"\nspeak({claims!r} + bytes(60 * 1024 * 1024) + b'\\xff' * 4)\n",
    )
    with TinySupervisor(tmp_path, paths=[code]) as liar:
        answer = liar.refused("liar:flow")
        assert "can't be read" in answer.message
