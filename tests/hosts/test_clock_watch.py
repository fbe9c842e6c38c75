"""Learning that the wall clock was set."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from sojourn.hosts.clock_watch import ClockWatch
from sojourn.hosts.home import Home
from sojourn.hosts.supervisor.doors import LocalDoors


@pytest.fixture
def watch() -> Iterator[ClockWatch]:
    watch = ClockWatch()
    yield watch
    watch.close()


def test_the_kernel_is_asked_to_tell_and_says_nothing_while_no_one_sets_the_clock(
    watch: ClockWatch,
) -> None:
    told = Path(f"/proc/self/fdinfo/{watch.descriptor}").read_text()

    assert "clockid: 0" in told
    assert "settime flags: 03" in told  # an absolute time, and ended by a clock that is set
    assert select.select([watch.descriptor], [], [], 0) == ([], [], [])


def test_a_watch_is_closed_once(watch: ClockWatch) -> None:
    descriptor = watch.descriptor
    watch.close()
    watch.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_who_waits_for_an_hour_is_woken_when_the_clock_is_set(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    signals, clock = (os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    doors = LocalDoors(context, home, signals, clock)
    os.eventfd_write(clock, 1)

    doors.wait(3600.0, [], [])  # else the test takes too long

    with pytest.raises(BlockingIOError):
        os.eventfd_read(clock)
    doors.close()
    context.term()
    os.close(signals)
    os.close(clock)
