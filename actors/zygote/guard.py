"""The guard of a zygote: outlives supervisor and zygote just long enough to kill what they leave.

It knows every process group that the zygote started. When the supervisor's end of the life pipe
closes, or the zygote ends, it kills them all and exits. It holds the home's alive lock until then, so
that whoever takes that lock knows the groups to be dead too. Imports nothing of the user's.
"""

from __future__ import annotations

import os
import select
import signal
import struct

from setproctitle import setproctitle

from sojourn.actors.zygote.kernel import kill_group

NOTE = struct.Struct("<q")
"""A group's id when it starts, its negative when it ended."""

PATIENCE_MS = 1000
"""How long a killed zygote gets to be gone before its notes are read to the end."""


def start_guard(life: int, inherited: list[int]) -> int:
    """Fork the guard from the zygote.

    Args:
        life: read end of a pipe whose only write end the supervisor holds.
        inherited: descriptors that the guard must not keep open.

    Returns:
        The write end of the control pipe, which takes ``NOTE``s.
    """
    # Noted before the fork: a guard that asks for its parent after the zygote's death gets pid 1.
    pid = os.getpid()
    zygote = os.pidfd_open(pid)
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()
            for descriptor in (write_end, *inherited):
                os.close(descriptor)
            _watch(life, read_end, zygote, pid)
        finally:
            os._exit(0)
    for descriptor in (read_end, life, zygote):
        os.close(descriptor)
    return write_end


def _watch(life: int, control: int, zygote: int, zygote_pid: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    setproctitle("sojourn-guard")
    os.set_blocking(control, False)
    groups = set[int]()
    poller = select.poll()
    for descriptor in (life, control, zygote):
        poller.register(descriptor, select.POLLIN)
    over = False
    while not over:
        ready = {descriptor for descriptor, _ in poller.poll()}
        over = life in ready or zygote in ready or not _take_notes(control, groups)
    _kill_zygote(zygote, zygote_pid)
    _take_notes(control, groups)
    for group in groups:
        kill_group(group)


def _take_notes(control: int, groups: set[int]) -> bool:
    """Read what the zygote wrote so far; False if it closed its end."""
    while True:
        try:
            data = os.read(control, NOTE.size * 64)
        except BlockingIOError:
            return True
        if not data:
            return False
        for (group,) in NOTE.iter_unpack(data):
            if group > 0:
                groups.add(group)
            else:
                groups.discard(-group)


def _kill_zygote(zygote: int, pid: int) -> None:
    """Kill the zygote first, so that it starts no group that its notes don't tell of."""
    try:
        signal.pidfd_send_signal(zygote, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it is dead and reaped; what its imports started may still be there
    kill_group(pid)
    poller = select.poll()
    poller.register(zygote, select.POLLIN)
    poller.poll(PATIENCE_MS)
