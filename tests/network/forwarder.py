"""The wire between network namespaces: carries IP packets from TUN device to TUN device, badly.

``python -m tests.network.forwarder SEED NAME=ADDRESS…`` makes one TUN device per host, prints their
names as one JSON line and waits for commands, one JSON line each on stdin, each answered by one line:
conditions of one direction of a link, or a question for its counts. Whoever started it puts the devices
into the hosts' namespaces (a device stays with the file descriptor that made it). A packet is read
where a host sent it, meets its fate (``link_model``) and is written, when it is due, to the device of the
host that it is for. So TCP above sees loss, delay and reordering as on a real path and recovers itself.

It ends when stdin does, so that it never outlives its test; its devices vanish with it. It knows
nothing of namespaces and nothing of Sojourn.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import selectors
import struct
import sys
import time
from collections.abc import Iterable
from ipaddress import IPv4Address

import msgspec

from tests.network.link_model import CLEAN, Conditions, fate

TUN = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_LARGEST_PACKET = 65_536
_PACKETS_PER_ROUND = 256


class Counts(msgspec.Struct):
    """What one direction of a link did so far, in packets.

    Attributes:
        offered: sent into it.
        lost: by bad luck.
        swallowed: because it was cut.
        carried: delivered.
    """

    offered: int = 0
    lost: int = 0
    swallowed: int = 0
    carried: int = 0


class SetLink(msgspec.Struct, tag="set"):
    """Command: change one direction of a link."""

    source: str
    target: str
    conditions: Conditions


class AskCounts(msgspec.Struct, tag="counts"):
    """Command: say what every link did."""


_COMMANDS = msgspec.json.Decoder(SetLink | AskCounts)


class Link:
    """One direction between two hosts."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.conditions = CLEAN
        self.counts = Counts()
        self._seed = seed
        self._floor = 0.0

    def due(self, now: float) -> float | None:
        """Take a packet in; give when it arrives, None if it doesn't."""
        number = self.counts.offered
        self.counts.offered += 1
        due, self._floor = fate(self._seed, self.name, number, now, self._floor, self.conditions)
        if self.conditions.cut:
            self.counts.swallowed += 1
        elif due is None:
            self.counts.lost += 1
        return due

    def change(self, conditions: Conditions) -> None:
        """Set the conditions; packets under way keep their time, and new ones don't wait for them."""
        self.conditions = conditions
        self._floor = 0.0


class Forwarder:
    """All links between some hosts.

    Args:
        seed: of every fate.
        hosts: address of each host by its name.
    """

    def __init__(self, seed: int, hosts: dict[str, IPv4Address]) -> None:
        self._names = {address.packed: name for name, address in hosts.items()}
        self._links = {
            (source, target): Link(f"{source}>{target}", seed)
            for source in hosts for target in hosts if source != target
        }
        self._devices = {name: open_tun() for name in hosts}
        self._flying: list[tuple[float, int, Link, str, bytes]] = []
        self._order = 0
        self._commands = b""

    def run(self) -> None:
        """Forward until stdin ends."""
        answer({name: device for name, (_, device) in self._devices.items()})
        with selectors.DefaultSelector() as selector:
            os.set_blocking(sys.stdin.fileno(), False)
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
            for name, (descriptor, _) in self._devices.items():
                selector.register(descriptor, selectors.EVENT_READ, name)
            while True:
                for key, _ in selector.select(self._patience()):
                    if key.data is not None:
                        self._take_in(key.data)
                    elif not self._obey():
                        return
                self._deliver()

    def _patience(self) -> float | None:
        return max(0.0, self._flying[0][0] - time.monotonic()) if self._flying else None

    def _take_in(self, source: str) -> None:
        descriptor, _ = self._devices[source]
        for _ in range(_PACKETS_PER_ROUND):
            try:
                packet = os.read(descriptor, _LARGEST_PACKET)
            except BlockingIOError:
                return
            except OSError:
                return  # the device was not up yet, or is being moved
            target = self._names.get(packet[16:20]) if packet[:1] and packet[0] >> 4 == 4 else None
            link = self._links.get((source, target)) if target is not None else None
            if link is None or target is None:
                continue  # for nobody here, such as a multicast
            due = link.due(time.monotonic())
            if due is not None:
                self._order += 1
                heapq.heappush(self._flying, (due, self._order, link, target, packet))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._flying and self._flying[0][0] <= now:
            _, _, link, target, packet = heapq.heappop(self._flying)
            if link.conditions.cut:
                link.counts.swallowed += 1
                continue
            try:
                os.write(self._devices[target][0], packet)
                link.counts.carried += 1
            except OSError:
                link.counts.lost += 1  # the host's device is down

    def _obey(self) -> bool:
        data = os.read(sys.stdin.fileno(), 1 << 16)
        if not data:
            return False
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            command = _COMMANDS.decode(line)
            if isinstance(command, SetLink):
                self._links[command.source, command.target].change(command.conditions)
                answer({})
            else:
                answer({link.name: link.counts for link in self._links.values()})
        return True


def open_tun() -> tuple[int, str]:
    """Make a TUN device; give its descriptor and the name that the kernel chose."""
    descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH14x", b"sojourn%d", _IFF_TUN | _IFF_NO_PI)
    made = fcntl.ioctl(descriptor, _TUNSETIFF, request)
    return descriptor, made[:16].rstrip(b"\0").decode()


def answer(body: object) -> None:
    """Print one line of JSON."""
    sys.stdout.buffer.write(msgspec.json.encode(body) + b"\n")
    sys.stdout.buffer.flush()


def read_hosts(arguments: Iterable[str]) -> dict[str, IPv4Address]:
    """Read ``NAME=ADDRESS`` arguments."""
    pairs = (argument.partition("=") for argument in arguments)
    return {name: IPv4Address(address) for name, _, address in pairs}


if __name__ == "__main__":
    Forwarder(int(sys.argv[1]), read_hosts(sys.argv[2:])).run()
