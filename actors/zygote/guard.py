"""The guard of a zygote: outlives supervisor and zygote just long enough to kill what they leave.

It knows every process group that the zygote started. When the supervisor's end of the life pipe or the
zygote's end of the control pipe closes, it kills them all and exits. Imports nothing of the user's.
"""

from __future__ import annotations

import os
import select
import signal
import struct

NOTE = struct.Struct("<q")
"""A group's id when it starts, its negative when it ended."""


def start_guard(life: int, zygote: int, inherited: list[int]) -> int:
    """Fork the guard.

    Args:
        life: read end of a pipe whose only write end the supervisor holds.
        zygote: pid of the zygote.
        inherited: descriptors that the guard must not keep open.

    Returns:
        The write end of the control pipe.
    """
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()
            os.close(write_end)
            for descriptor in inherited:
                os.close(descriptor)
            _watch(life, read_end, zygote)
        finally:
            os._exit(0)
    os.close(read_end)
    os.close(life)
    return write_end


def _watch(life: int, control: int, zygote: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = set[int]()
    poller = select.poll()
    poller.register(life, select.POLLIN)
    poller.register(control, select.POLLIN)
    while True:
        ready = dict(poller.poll())
        if control in ready:
            data = os.read(control, NOTE.size * 64)
            for (group,) in NOTE.iter_unpack(data[: len(data) - len(data) % NOTE.size]):
                if group > 0:
                    groups.add(group)
                else:
                    groups.discard(-group)
            if not data:
                break
        elif life in ready:
            break
    _kill(groups, zygote)


def _kill(groups: set[int], zygote: int) -> None:
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    try:
        os.kill(zygote, signal.SIGKILL)
    except ProcessLookupError:
        return
