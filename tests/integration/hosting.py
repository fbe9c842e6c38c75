"""Real supervisors for tests: started through the command line, killed, started again, paired."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from sojourn import Client, Handoff
from sojourn.hosts.connection import Connection
from sojourn.hosts.home import Home
from sojourn.runtime.wire.client import Command, Peers, Status
from tests.waiting import wait_until

FLOWS = Path(__file__).parent / "flows"
EXAMPLES = Path(__file__).parents[2] / "examples"
SOJOURN = (sys.executable, "-m", "sojourn.hosts.cli")
EFFECTS = "SOJOURN_TEST_EFFECTS"
"""Environment variable that names the file to which routines append what they did."""

Json = dict[str, Any]


class Host:
    """One host: a home and, while it is up, a supervisor.

    Args:
        folder: where its home and output go.
        name: its name.
        effects: file that its routines append to.
        listen: whether it listens for peers.
        paths: its import paths.
        at: IP address on which it listens.
        inside: what is put before the command that starts it, to start it elsewhere than here.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        effects: Path,
        *,
        listen: bool = True,
        paths: Iterable[Path] = (FLOWS,),
        at: str = "127.0.0.1",
        inside: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.home = folder / name
        self.effects = effects
        self.paths = list(paths)
        self.address = f"tcp://{at}:0" if listen else None
        self._inside = tuple(inside)
        self._output = folder / f"{name}.out"
        self._process: subprocess.Popen[bytes] | None = None

    # --- the daemon ---------------------------------------------------------------------------

    def up(self, *options: str, **environment: str) -> Host:
        """Start its supervisor and wait until it is ready; on the port that it had before."""
        self.launch(*options, **environment)
        return self.ready()

    def launch(self, *options: str, **environment: str) -> None:
        """Start its supervisor."""
        command = [*self._inside, *SOJOURN, "up", "--home", str(self.home), "--name", self.name, *options]
        for path in self.paths:
            command.extend(("--path", str(path)))
        if self.address is not None:
            command.extend(("--listen", self.address))
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**self.environment, **environment},
                start_new_session=True,
            )

    def ready(self) -> Host:
        """Wait until its supervisor is ready."""
        ready = wait_until(self._ready, 30.0, f"host {self.name} to be ready")
        found = re.search(r"listening on (\S+),", ready)
        if found is not None:
            self.address = found.group(1)
        return self

    def _ready(self) -> str:
        assert self._process is not None
        text = self.output
        assert self._process.poll() is None, f"host {self.name} ended at its start:\n{text}"
        return text if text.startswith("ready") or "\nready" in text else ""

    @property
    def environment(self) -> dict[str, str]:
        """What its supervisor and its commands run with."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SOJOURN_")}
        return {**kept, EFFECTS: str(self.effects), "SOJOURN_TEST_HOST": self.name}

    @property
    def output(self) -> str:
        """What its supervisor printed."""
        return self._output.read_text() if self._output.exists() else ""

    @property
    def pid(self) -> int:
        """Its supervisor's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its supervisor runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How its supervisor ended; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def kill(self) -> None:
        """Kill its supervisor with -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def died(self, timeout: float = 30.0) -> None:
        """Wait until its supervisor has died by itself."""
        assert self._process is not None
        self._process.wait(timeout)

    def terminate(self, timeout: float = 30.0) -> int:
        """Send SIGTERM and give the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout)

    def close(self) -> None:
        """Kill its supervisor, if it runs."""
        if self.running:
            self.kill()

    def processes(self) -> list[psutil.Process]:
        """Give every living process below its supervisor."""
        return [
            process
            for process in psutil.Process(self.pid).children(recursive=True)
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        ]

    # --- commands -----------------------------------------------------------------------------

    def run(
        self, *arguments: str, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line against it."""
        return subprocess.run(
            [*SOJOURN, *arguments, "--home", str(self.home)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and don't wait for it."""
        return subprocess.Popen(
            [*SOJOURN, *arguments, "--home", str(self.home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def do(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run a command that must succeed and give its stdout."""
        done = self.run(*arguments, timeout=timeout)
        assert done.returncode == 0, f"sojourn {' '.join(arguments)}: {done.stderr}{self.log_tail()}"
        return done.stdout.strip()

    def client(self) -> Client:
        """Give a Python client of it."""
        return Client(self.home)

    def ask(self, command: Command) -> Json:
        """Send it a command as the command line would, without starting an interpreter."""
        connection = Connection(Home(self.home))
        try:
            return connection.request(command)
        finally:
            connection.close()

    def messages_at(self, routine: str) -> dict[str, int]:
        """Give how many messages of each job a routine's only process has."""
        found = [p["messages"] for p in self.ask(Status())["processes"] if p["routine"] == routine]
        return found[0] if len(found) == 1 else {}

    def submit(self, flow: str, job_id: str, **fields: Any) -> str:
        """Start a job of a flow of ``flows/`` by ``MODULE:ATTR``."""
        with self.client() as client:
            return client.submit(flow, fields, job_id=job_id)

    def show(self, job: str, *, history: int = 1000) -> Json:
        """Give a job's document."""
        with self.client() as client:
            return client.show(job, history=history).serialize()

    def wait(self, job: str, until: str | None = None, timeout: float = 60.0) -> Json:
        """Wait for a job's end (its document then has the whole history) or for a condition."""
        with self.client() as client:
            state = client.wait(job, until=until, timeout=timeout)
            if until is None and state.host == self.name:
                state = client.show(job, history=10_000)
            return state.serialize()

    def migrate(self, job: str, to: Host, *, grace: float | None = None) -> Handoff:
        """Move a job, and give the figures."""
        with self.client() as client:
            return client.migrate(job, to.name, grace=grace)[0]

    def log(self) -> list[Json]:
        """Give its supervisor's log."""
        path = self.home / "log" / "supervisor.jsonl"
        if not path.exists():
            return []
        lines = path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def log_tail(self) -> str:
        """Give the end of its log and output, for a failed assertion."""
        lines = "\n".join(json.dumps(entry) for entry in self.log()[-12:])
        return f"\n--- log of {self.name}:\n{lines}\n--- output:\n{self.output[-3000:]}"


def pair_hosts(one: Host, other: Host) -> None:
    """Pair two hosts that are up, and wait until both see each other."""
    token = one.do("invite")
    other.do("join", token)
    wait_until(lambda: connected(one) and connected(other), 15.0, "both hosts to be connected")


def connected(host: Host) -> bool:
    """Tell whether a host is connected to all its peers."""
    peers = host.ask(Peers())["peers"]
    return bool(peers) and all(peer["connected"] for peer in peers)


class Effect(NamedTuple):
    """One line that a routine appended: what, in which turn, at which attempt, where."""

    what: str
    turn: str
    attempt: int
    host: str
    pid: int

    @classmethod
    def read(cls, line: str) -> Effect:
        """Read a line."""
        what, turn, attempt, host, pid = line.split("\t")
        return cls(what, turn, int(attempt), host, int(pid))

    @property
    def key(self) -> tuple[str, int]:
        """Turn and attempt."""
        return self.turn, self.attempt


def read_effects(path: Path) -> list[Effect]:
    """Read what routines did, in the order in which they did it."""
    if not path.exists():
        return []
    return [Effect.read(line) for line in path.read_text().splitlines()]


def check_effects(effects: list[Effect], *documents: Json) -> None:
    """Check that no (turn, attempt) was done twice, except where a history shows ``interrupted``."""
    interrupted = {
        (f"{document['instance']}:{entry['message']}", entry["attempt"])
        for document in documents
        for entry in document["history"]
        if entry["outcome"] == "interrupted"
    }
    seen = set[tuple[str, tuple[str, int]]]()
    for effect in effects:
        key = (effect.what, effect.key)
        assert key not in seen or effect.key in interrupted, (
            f"{effect.what} of turn {effect.turn}, attempt {effect.attempt}, was done twice without an "
            "`interrupted` in the history"
        )
        seen.add(key)


def attempts(document: Json, routine: str) -> list[tuple[int, int, str, str]]:
    """Give (message, attempt, outcome, host) of a routine's history."""
    return [
        (entry["message"], entry["attempt"], entry["outcome"], entry["host"])
        for entry in document["history"]
        if entry["routine"] == routine
    ]


def seconds_of(text: str) -> float:
    """Read a document's time as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()
