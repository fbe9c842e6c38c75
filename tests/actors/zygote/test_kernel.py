"""What the kernel calls of zygote and guard must never do."""

from __future__ import annotations

import os

import pytest

from sojourn.actors.zygote.kernel import kill_group


@pytest.mark.parametrize("group", [1, 0, -1, -7])
def test_no_number_that_stands_for_other_processes_is_killed(
    group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []

    def killpg(found: int, _signal: int) -> None:
        killed.append(found)

    # Not run for real: where it goes wrong, it ends every process of this user.
    monkeypatch.setattr(os, "killpg", killpg)
    kill_group(group)
    assert killed == []


def test_a_group_that_is_gone_is_no_error() -> None:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os._exit(0)
    os.waitpid(pid, 0)
    kill_group(pid)
