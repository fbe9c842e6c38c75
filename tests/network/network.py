"""Hosts with addresses of their own and links between them that can be made bad while they are used.

How it works: each host is a network namespace (``namespaces``). Its only way out is a TUN device, whose
other end is a process of ours (``forwarder``) that carries each IP packet on as the link's conditions say
(``link_model``). Nothing of it needs netem, which many kernels lack: only root, ``ip`` and /dev/net/tun.
What it claims is measured before any test relies on it (``proof``). Supervisors are started with
``ip netns exec``; clients reach them over ipc, which knows no namespaces.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import msgspec

from tests.network.forwarder import AskCounts, Counts, SetLink
from tests.network.link_model import CLEAN, CUT, Conditions
from tests.network.namespaces import Namespaces, ip
from tests.network.probe import Measured

ROOT = Path(__file__).parents[2]
SUBNET = "10.77.0"
DEVICE = "wire"
T = TypeVar("T")


class Network:
    """Some hosts, every one linked with every other.

    Args:
        hosts: their names.
        seed: of what the links do.
    """

    def __init__(self, hosts: tuple[str, ...], seed: int) -> None:
        self.hosts = hosts
        self._addresses = {host: f"{SUBNET}.{number}" for number, host in enumerate(hosts, 1)}
        self._namespaces = Namespaces(hosts)
        self._forwarder = subprocess.Popen(
            [
                sys.executable, "-m", "tests.network.forwarder", str(seed),
                *(f"{host}={address}" for host, address in self._addresses.items()),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        )
        try:
            for host, device in self._answer(dict[str, str]).items():
                self._plug_in(host, device)
        except BaseException:
            self.close()
            raise

    def _plug_in(self, host: str, device: str) -> None:
        name = self._namespaces.name(host)
        ip("link", "set", device, "netns", name, "name", DEVICE)
        # no IPv6 address: the kernel would announce it, and count as traffic
        ip("link", "set", DEVICE, "addrgenmode", "none", namespace=name)
        ip("address", "add", f"{self._addresses[host]}/24", "dev", DEVICE, namespace=name)
        ip("link", "set", DEVICE, "up", namespace=name)

    def address(self, host: str) -> str:
        """Give a host's IP address."""
        return self._addresses[host]

    def inside(self, host: str) -> tuple[str, ...]:
        """Give what is put before a command to run it on a host."""
        return self._namespaces.inside(host)

    def close(self) -> None:
        """Take it all down."""
        assert self._forwarder.stdin is not None
        assert self._forwarder.stdout is not None
        self._forwarder.stdin.close()
        self._forwarder.wait(10)
        self._forwarder.stdout.close()
        self._namespaces.close()

    # --- the links --------------------------------------------------------------------------------

    def set_one_way(self, source: str, target: str, conditions: Conditions) -> None:
        """Change one direction of a link; it is so when this returns."""
        self._tell(SetLink(source, target, conditions))
        self._answer(dict[str, str])

    def set(self, one: str, other: str, conditions: Conditions) -> None:
        """Change both directions of a link."""
        self.set_one_way(one, other, conditions)
        self.set_one_way(other, one, conditions)

    def cut(self, one: str, other: str) -> None:
        """Make a link a black hole: no packet arrives, and nobody is told."""
        self.set(one, other, CUT)

    def set_all(self, conditions: Conditions) -> None:
        """Change every link."""
        for source in self.hosts:
            for target in self.hosts:
                if source != target:
                    self.set_one_way(source, target, conditions)

    def reset(self) -> None:
        """Make every link clean, and let the kernels forget how slow they were."""
        self.set_all(CLEAN)
        for host in self.hosts:
            ip("tcp_metrics", "flush", namespace=self._namespaces.name(host))

    def counts(self) -> dict[str, Counts]:
        """Say what every direction (``"a>b"``) did so far."""
        self._tell(AskCounts())
        return self._answer(dict[str, Counts])

    def probe(
        self, source: str, target: str, count: int, apart: float = 0.004, wait: float = 1.0
    ) -> Measured:
        """Ping one host from another; see ``probe``."""
        done = subprocess.run(
            [
                *self.inside(source), sys.executable, "-m", "tests.network.probe",
                self.address(target), str(count), str(apart), str(wait),
            ],
            capture_output=True, text=True, check=False, cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout, type=Measured)

    # --- the forwarder ------------------------------------------------------------------------------

    def _tell(self, command: SetLink | AskCounts) -> None:
        assert self._forwarder.stdin is not None
        self._forwarder.stdin.write(msgspec.json.encode(command) + b"\n")
        self._forwarder.stdin.flush()

    def _answer(self, kind: type[T]) -> T:
        assert self._forwarder.stdout is not None
        line = self._forwarder.stdout.readline()
        assert line, f"the forwarder ended with exit code {self._forwarder.wait()}"
        return msgspec.json.decode(line, type=kind)
