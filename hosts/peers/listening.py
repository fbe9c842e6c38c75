"""The socket on which peers dial this host. Knows addresses, routes and connections, no messages."""

from __future__ import annotations

import errno
import re
import socket as sockets
from collections.abc import Iterable, Iterator
from enum import Enum, auto

import zmq
from zmq.utils.monitor import recv_monitor_message

from sojourn.hosts.peers.keys import Keys
from sojourn.hosts.peers.limits import BYTES_PER_ROUND, FRAMES_PER_ROUND
from sojourn.hosts.peers.standing import LOOK_SECONDS, Standings, most_connections
from sojourn.hosts.peers.tuning import tune
from sojourn.hosts.peers.zap import DOMAIN
from sojourn.hosts.reception import Incoming, Reception, cut
from sojourn.runtime.errors import HostUnable

_LISTEN = re.compile(r"tcp://(\[[0-9a-fA-F:.]+\]|[^\s:/;\[\]]+):([0-9]{1,5}|\*)")
_WILDCARDS = ("*", "0.0.0.0", "[::]")
_EVENTS_PER_ROUND = 10_000

FRAMES = 2
"""Of a message: the route and the message itself."""

FAREWELL_SECONDS = 0.5
"""How long a connection that is to be cut may carry last words."""


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
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._reception = Reception(
            self.socket, most_frames=FRAMES, messages=FRAMES_PER_ROUND, size=BYTES_PER_ROUND
        )
        self._standings = Standings(most_connections())
        self._next_look = 0.0
        self._to_cut: list[tuple[float, int]] = []
        self.crowded = 0
        """How many connections were cut since too many stood."""
        bound = self.socket.get(zmq.LAST_ENDPOINT)
        text = bound.decode().rstrip("\0") if isinstance(bound, bytes) else endpoint
        port = text.rpartition(":")[2]
        self._port = int(port)
        self.address = f"tcp://{sockets.gethostname() if host in _WILDCARDS else host}:{port}"

    def someone_left(self, now: float) -> bool:
        """Follow who comes and goes; tell whether a connection ended, which one, only sending tells.

        Args:
            now: monotonic seconds.
        """
        left = False
        for _ in range(_EVENTS_PER_ROUND):
            if not self.monitor.poll(0):
                break
            event = recv_monitor_message(self.monitor)
            if event["event"] == zmq.EVENT_ACCEPTED:
                over = self._standings.began(event["value"], now)
                if over is not None:
                    self.crowded += cut(over, self._port)
            else:
                self._standings.ended(event["value"])
                left = True
        return left

    def next_look(self) -> float | None:
        """Give the monotonic time at which there is something to do by itself."""
        due = [at for at, _ in self._to_cut]
        if len(self._standings):
            due.append(self._next_look)
        return min(due, default=None)

    def cut_overdue(self, now: float) -> list[tuple[str, str]]:
        """Cut the connections whose time has come, and those that owe too much.

        Returns:
            Who spoke on each of the latter, and what was wrong.
        """
        for _, descriptor in [entry for entry in self._to_cut if entry[0] <= now]:
            cut(descriptor, self._port)
        self._to_cut = [entry for entry in self._to_cut if entry[0] > now]
        if now < self._next_look:
            return []
        self._next_look = now + LOOK_SECONDS
        overdue = self._standings.overdue(now)
        for descriptor, _, _ in overdue:
            cut(descriptor, self._port)
        return [(user, problem) for _, user, problem in overdue]

    def hang_up(self, users: Iterable[str], now: float) -> None:
        """End the connections of some users, once what was sent to them has had time to leave."""
        for descriptor in self._standings.of(users):
            self._to_cut.append((now + FAREWELL_SECONDS, descriptor))

    def hang_up_on(self, incoming: Incoming) -> None:
        """End the connection that a message came over."""
        cut(incoming.descriptor, self._port)

    def receive(self) -> Iterator[tuple[bytes, str, Incoming]]:
        """Give what waits: the connection's route, the user id of its key, and the message."""
        for incoming in self._reception.receive():
            user = str(incoming.frames[-1].get("User-Id"))
            route = incoming.frames[0].bytes
            self._standings.spoke(incoming.descriptor, route, user, incoming.size)
            yield route, user, incoming

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
        self._standings.wrote(route, len(frame))
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
