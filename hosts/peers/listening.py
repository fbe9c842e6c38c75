"""The socket on which peers dial this host. Knows addresses and routes, no messages."""

from __future__ import annotations

import errno
import re
import socket as sockets
from collections.abc import Iterator
from enum import Enum, auto

import zmq
from zmq.utils.monitor import recv_monitor_message

from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.limits import FRAMES_PER_ROUND
from sojourn.hosts.peers.tuning import tune
from sojourn.hosts.peers.zap import DOMAIN
from sojourn.runtime.errors import HostUnable

_LISTEN = re.compile(r"tcp://(\[[0-9a-fA-F:.]+\]|[^\s:/;\[\]]+):([0-9]{1,5}|\*)")
_WILDCARDS = ("*", "0.0.0.0", "[::]")
_HANGINGS_UP = 1000


class Sent(Enum):
    """What became of a frame on its way to a route."""

    YES = auto()
    FULL = auto()
    """The other side doesn't read: dropped."""
    GONE = auto()
    """There is no such connection any more."""


class Listener:
    """A CURVE server; the ZAP handler must run already.

    Args:
        context: of the socket.
        keys: this host's.
        listen: ``tcp://HOST:PORT``; port 0 or ``*`` takes any free one.

    Attributes:
        address: where peers can dial it.

    Raises:
        HostUnable: if that can't be listened on.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], keys: Keys, listen: str
    ) -> None:
        host, endpoint = _resolve(listen)
        self.socket = context.socket(zmq.ROUTER)
        tune(self.socket)
        self.socket.set(zmq.ROUTER_MANDATORY, 1)
        self.socket.set(zmq.IPV6, int("[" in endpoint))
        self.socket.set(zmq.CURVE_SERVER, 1)
        self.socket.set(zmq.CURVE_SECRETKEY, keys.secret.encode())
        self.socket.set(zmq.ZAP_DOMAIN, DOMAIN)
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.socket.close(0)
            raise _unable(listen, error) from error
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        bound = self.socket.get(zmq.LAST_ENDPOINT)
        text = bound.decode().rstrip("\0") if isinstance(bound, bytes) else endpoint
        port = text.rpartition(":")[2]
        self.address = f"tcp://{sockets.gethostname() if host in _WILDCARDS else host}:{port}"

    def someone_left(self) -> bool:
        """Tell whether a connection ended since the last look; which one, only sending tells."""
        left = False
        for _ in range(_HANGINGS_UP):
            if not self.monitor.poll(0):
                break
            recv_monitor_message(self.monitor)
            left = True
        return left

    def receive(self) -> Iterator[tuple[bytes, str, list[zmq.Frame]]]:
        """Give what waits: the connection's route, the user id of its key, and the frames."""
        for _ in range(FRAMES_PER_ROUND):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            yield frames[0].bytes, str(frames[-1].get("User-Id")), frames[1:]

    def send(self, route: bytes, frame: bytes) -> Sent:
        """Send to one connection without waiting."""
        try:
            self.socket.send_multipart([route, frame], zmq.NOBLOCK)
        except zmq.Again:
            return Sent.FULL
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            return Sent.GONE
        return Sent.YES

    def close(self) -> None:
        """Hang up on everyone."""
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(0)


def _resolve(listen: str) -> tuple[str, str]:
    """Give the host as it was written, and the endpoint with its number (ZeroMQ binds to no names)."""
    match = _LISTEN.fullmatch(listen)
    if match is None:
        raise HostUnable(f"{listen!r} is no address to listen on: write --listen tcp://HOST:PORT")
    host, port = match[1], match[2].replace("*", "0")
    if host in _WILDCARDS:
        return host, f"tcp://{host}:{port}"
    try:
        found = sockets.getaddrinfo(host.strip("[]"), int(port), type=sockets.SOCK_STREAM)
    except (OSError, UnicodeError, OverflowError) as error:
        raise HostUnable(
            f"this host can't listen on {listen}: {host!r} is no address of it ({error}); choose another "
            "with --listen"
        ) from error
    family, *_, place = min(found, key=lambda one: one[0] != sockets.AF_INET)
    number = f"[{place[0]}]" if family == sockets.AF_INET6 else str(place[0])
    return host, f"tcp://{number}:{port}"


def _unable(listen: str, error: zmq.ZMQError) -> HostUnable:
    why = {
        errno.EADDRINUSE: "another program has this port",
        errno.EACCES: "this user may not use this port",
        errno.ENODEV: "this machine has no such address",
        errno.EADDRNOTAVAIL: "this machine has no such address",
    }.get(error.errno or 0, error.strerror)
    return HostUnable(f"this host can't listen on {listen}: {why}; choose another with --listen")
