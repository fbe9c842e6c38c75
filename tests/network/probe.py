"""Pings of our own: how many come back, how long they take, and in which order.

``python -m tests.network.probe ADDRESS COUNT APART WAIT``, run inside a host's namespace, sends ICMP echo
requests (the other namespace's kernel answers), waits ``WAIT`` seconds after the last one for late
answers, and prints what it measured as JSON. Needs root, as the namespaces do.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time

import msgspec

_ECHO_REQUEST = 8
_ECHO_REPLY = 0
_IP_HEADER = 20


class Measured(msgspec.Struct):
    """What some pings showed.

    Attributes:
        sent: how many left.
        round_trips: seconds of each that came back, in the order of arrival.
        overtaken: how many answers came after the answer to a later ping.
    """

    sent: int
    round_trips: list[float]
    overtaken: int

    @property
    def lost(self) -> float:
        """Share that didn't come back."""
        return 1.0 - len(self.round_trips) / self.sent


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def ping(number: int, mark: int) -> bytes:
    """Make an echo request."""
    body = b"sojourn." * 4
    head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, mark, number)
    return struct.pack("!BBHHH", _ECHO_REQUEST, 0, checksum(head + body), mark, number) + body


def probe(address: str, count: int, apart: float, wait: float) -> Measured:
    """Ping an address.

    Args:
        address: whom.
        count: how many pings.
        apart: seconds between two.
        wait: seconds after the last one for answers.
    """
    mark = os.getpid() & 0xFFFF
    sent: list[float] = []
    measured = Measured(0, [], 0)
    last = -1
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        begun = time.monotonic()
        end = begun + (count - 1) * apart + wait
        while (now := time.monotonic()) < end and len(measured.round_trips) < count:
            if len(sent) < count and now >= begun + len(sent) * apart:
                raw.sendto(ping(len(sent), mark), (address, 0))
                sent.append(now)
                continue
            due = begun + len(sent) * apart if len(sent) < count else end
            raw.settimeout(max(0.0005, min(due, end) - now))
            try:
                packet = raw.recv(2048)
            except TimeoutError:
                continue
            kind, _, _, whose, number = struct.unpack_from("!BBHHH", packet, _IP_HEADER)
            if (kind, whose) != (_ECHO_REPLY, mark):
                continue
            measured.round_trips.append(time.monotonic() - sent[number])
            measured.overtaken += number < last
            last = max(last, number)
    measured.sent = len(sent)
    return measured


if __name__ == "__main__":
    found = probe(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
