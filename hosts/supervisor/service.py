"""What the service manager is told, where there is one (systemd, ``Type=notify``): sd_notify(3)."""

from __future__ import annotations

import os
import socket

import structlog

VARIABLE = "NOTIFY_SOCKET"


class Service:
    """The line to the service manager.

    Taken out of the environment: what routines start is no service of its.
    """

    def __init__(self) -> None:
        self._place = os.environ.pop(VARIABLE, "")

    def tell(self, *assignments: str) -> None:
        """Tell the manager, e.g. ``READY=1``; says nothing where there is none."""
        if not self._place:
            return
        place = "\0" + self._place[1:] if self._place.startswith("@") else self._place
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.sendto("\n".join(assignments).encode(), place)
        except OSError as error:
            structlog.get_logger().warning(
                "the service manager can't be told", socket=self._place, error=str(error)
            )
