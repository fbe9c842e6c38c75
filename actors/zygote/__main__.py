"""Starts a zygote: ``python -m sojourn.actors.zygote SETUP``, by a supervisor only."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import traceback

import msgspec
from setproctitle import setproctitle

from sojourn.actors.zygote.fork import leave
from sojourn.actors.zygote.guard import start_guard
from sojourn.actors.zygote.kernel import die_with_parent
from sojourn.actors.zygote.server import Server
from sojourn.runtime.wire.zygote import ZygoteSetup

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(argument: str) -> None:
    """Set the process up, then serve."""
    setup = msgspec.json.decode(argument.encode(), type=ZygoteSetup)
    die_with_parent(setup.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lock = os.open(setup.alive_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    for descriptor in (setup.socket, setup.life):
        os.set_inheritable(descriptor, False)
    control = start_guard(setup.life, [setup.socket])
    for name in THREADS:
        os.environ.setdefault(name, "1")
    sys.path[:0] = setup.paths
    sys.argv = ["sojourn-zygote"]
    setproctitle("sojourn-zygote")
    status = 1
    try:
        Server(setup, socket.socket(fileno=setup.socket), control, lock).run()
        status = 0
    except (BrokenPipeError, ConnectionResetError):
        status = 0  # the supervisor is gone; the guard sees to the rest
    except BaseException:  # noqa: BLE001 - whatever it is: it is printed, and the process ends
        traceback.print_exc()
    finally:
        leave(status)


if __name__ == "__main__":
    main(sys.argv[1])
