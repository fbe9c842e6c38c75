"""``sojourn demo``: the demonstration, for real.

Starts two supervisors with homes, keys, ports and stores of their own, through the command line; moves a
failing job from one to the other while its third attempt waits for its backoff; and checks every claim
against the job documents of both hosts and the side-effect file that the routines append to. Assumes
nothing: a claim that isn't so makes the exit code 1.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sojourn.hosts.cli.main import run as run_command
from sojourn.hosts.client import Client
from sojourn.runtime.errors import HostUnable, WorkFailed
from sojourn.runtime.job_state import JobState
from sojourn.runtime.moved import Handoff, read_handoff

MODULE = "sojourn.actors.demo.retry"
EFFECTS = "SOJOURN_DEMO_EFFECTS"
HOST = "SOJOURN_DEMO_HOST"
Command = list[str]


class Claims:
    """What is claimed, and whether it is so.

    Args:
        say: prints a line for people.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.checked: list[dict[str, Any]] = []

    @property
    def false(self) -> int:
        """How many aren't so."""
        return sum(not claim["true"] for claim in self.checked)

    def check(self, claim: str, found: object, expected: object) -> None:
        """Compare what was found with what is claimed, and say so."""
        so = found == expected
        self.checked.append({"claim": claim, "true": so, "found": found, "expected": expected})
        mark = click.style("✔", fg="green") if so else click.style("✘", fg="red")
        self.say(f"  {mark} {claim}" + ("" if so else f": expected {expected!r}, found {found!r}"))


class DemoHost:
    """One host of the demonstration.

    Args:
        workdir: where its home goes.
        name: its name.
        effects: the side-effect file.
        say: prints a line for people.
    """

    def __init__(self, workdir: Path, name: str, effects: Path, say: Callable[[str], None]) -> None:
        self.name = name
        self._say = say
        self.home = workdir / name
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SOJOURN_")}
        self._environment = {**kept, EFFECTS: str(effects), HOST: name}
        self._process = subprocess.Popen(
            self._command(
                "up", "--name", name, "--listen", "tcp://127.0.0.1:0", "--path", str(workdir)
            ),
            stdout=subprocess.PIPE,
            stderr=(workdir / f"{name}.err").open("wb"),
            text=True,
            env=self._environment,
            start_new_session=True,
        )
        self._errors = workdir / f"{name}.err"

    def _command(self, *arguments: str) -> Command:
        return [sys.executable, "-m", "sojourn.hosts.cli", *arguments, "--home", str(self.home)]

    def wait_ready(self) -> str:
        """Wait for the line that says that it is up."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line.startswith("ready"):
            raise HostUnable(
                f"supervisor {self.name} didn't start: {self._errors.read_text().strip()}"
            )
        return line

    def do(self, *arguments: str) -> str:
        """Run a command of the command line, and show it.

        It runs in this process: the time that an interpreter takes to start would eat up the backoff
        during which the demonstration moves its job.
        """
        shown = " ".join(
            shlex.quote(argument) if len(argument) < 60 else argument[:20] + "…" for argument in arguments
        )
        self._say(click.style(f"{self.name} $ sojourn {shown}", bold=True))
        said, complaint = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complaint):
            code = run_command([*arguments, "--home", str(self.home)])
        if code:
            raise HostUnable(f"`sojourn {shown}` on {self.name} failed: {complaint.getvalue().strip()}")
        return said.getvalue().strip()

    def client(self) -> Client:
        """Give a client of it."""
        return Client(self.home)

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def run_demo(*, workdir: str | None, keep: bool, for_machines: bool = False) -> int:
    """Run the demonstration.

    Args:
        workdir: where homes and files go; None for a temporary folder.
        keep: whether that folder stays.
        for_machines: whether stdout gets the claims as JSON, and stderr what people read.

    Returns:
        0 if every claim is true, else 1.
    """
    def say(text: str) -> None:
        click.echo(text, err=for_machines)

    folder = Path(workdir).absolute() if workdir else Path(tempfile.mkdtemp(prefix="sojourn-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    for name in [name for name in os.environ if name.startswith("SOJOURN_")]:
        del os.environ[name]
    claims = Claims(say)
    hosts: list[DemoHost] = []
    try:
        effects = folder / "effects.txt"
        a = DemoHost(folder, "a", effects, say)
        hosts.append(a)
        b = DemoHost(folder, "b", effects, say)
        hosts.append(b)
        say(_title("Two supervisors, each with its own home, key, port and store"))
        for host in hosts:
            say(host.wait_ready())
        say(b.do("join", a.do("invite")))
        for host in hosts:
            host.do("submit", f"{MODULE}:hello", "--job-id", "hello", "--input", '{"data": "hello"}')
            host.do("wait", "hello")
        _failing_part(a, b, effects, claims)
        _healing_part(a, b, effects, claims)
    finally:
        for host in hosts:
            host.stop()
        if not keep and workdir is None:
            shutil.rmtree(folder, ignore_errors=True)
        elif hosts:
            say(f"\nhomes and side-effect file are kept in {folder}")
    if for_machines:
        click.echo(json.dumps({"true": not claims.false, "claims": claims.checked}, indent=2))
    if claims.false:
        say(click.style(f"\n{claims.false} of {len(claims.checked)} claims are false", fg="red"))
        return WorkFailed.exit_code
    say(click.style(f"\nevery claim is true ({len(claims.checked)} were checked)", fg="green"))
    return 0


def _title(text: str) -> str:
    return click.style(f"\n── {text} ", bold=True) + "─" * max(0, 76 - len(text))


def _failing_part(a: DemoHost, b: DemoHost, effects: Path, claims: Claims) -> None:
    claims.say(_title("A step that always fails: 4 retries, 0.3 s, backoff 1.5"))
    left, final = _move_at_two(a, b, f"{MODULE}:failing", "failing-job", claims)
    claims.check("attempts by the history of b: 1, 2 on a, then 3, 4, 5 on b", _attempts(final), [
        (1, "a", "failed"), (2, "a", "failed"), (3, "b", "failed"), (4, "b", "failed"),
        (5, "b", "failed"),
    ])
    claims.check("attempts by the history that a kept: 1, 2 on a", _attempts(left), [
        (1, "a", "failed"), (2, "a", "failed"),
    ])
    done = _effects(effects, final)
    claims.check("attempts by the side-effect file: 1, 2 on a, then 3, 4, 5 on b", done.get("failing"), [
        ("a", 1), ("a", 2), ("b", 3), ("b", 4), ("b", 5),
    ])
    claims.check("the job failed", final.status, "failed")
    claims.check("its retry count is 4 of 4", final.retry_count("failing"), 4)
    claims.check("its own counter of attempts travelled", final.state("failing")["attempt_count"], 5)
    claims.check(
        "Success was never run, by the history and by the file",
        [*_attempts(final, "success"), *done.get("success", [])], [],
    )


def _healing_part(a: DemoHost, b: DemoHost, effects: Path, claims: Claims) -> None:
    claims.say(_title("The same, healed at attempt 4"))
    left, final = _move_at_two(a, b, f"{MODULE}:healing", "healing-job", claims)
    claims.check("attempts by the history of b: 1, 2 on a, then 3, 4 on b", _attempts(final), [
        (1, "a", "failed"), (2, "a", "failed"), (3, "b", "failed"), (4, "b", "succeeded"),
    ])
    claims.check("attempts by the history that a kept: 1, 2 on a", _attempts(left), [
        (1, "a", "failed"), (2, "a", "failed"),
    ])
    done = _effects(effects, final)
    claims.check("attempts by the side-effect file: 1, 2 on a, then 3, 4 on b", done.get("failing"), [
        ("a", 1), ("a", 2), ("b", 3), ("b", 4),
    ])
    claims.check("the job completed", final.status, "completed")
    claims.check("Success ran exactly once, on b, by the history and by the file", (
        _attempts(final, "success"), done.get("success"),
    ), ([(1, "b", "succeeded")], [("b", 1)]))
    claims.check("its result", final.result, {"reached": True, "data": "some data"})


def _move_at_two(
    a: DemoHost, b: DemoHost, flow: str, job: str, claims: Claims
) -> tuple[JobState, JobState]:
    """Submit to a, move to b after two failures, wait there for the end.

    Returns:
        The job as a and as b show it then.
    """
    say = claims.say
    say(a.do("submit", flow, "--job-id", job))
    a.do("wait", job, "--until", "failing.retry_count >= 2")
    with a.client() as client:
        state = client.show(job)
    (waiting,) = state.pending
    say(
        f"attempt {waiting['attempts'] + 1} of {waiting['routine']!r} waits for its backoff: "
        f"due in {waiting['due_in']:.2f} s"
    )
    handoff = read_handoff(json.loads(a.do("migrate", job, "--to", "b", "-o", "json"))[0])
    phases = ", ".join(f"{name} {took:.1f}" for name, took in (handoff.phases_ms or {}).items())
    downtime = "unknown" if handoff.downtime_ms is None else f"{handoff.downtime_ms:.1f} ms"
    say(
        f"moved to b: measured downtime {click.style(downtime, bold=True)} "
        f"({handoff.bytes} bytes; ms per phase: {phases})"
    )
    with b.client() as client:
        final = client.wait(job, timeout=60)
    with a.client() as client:
        left = client.show(job)
    say("\nchecked against the documents of both hosts and the side-effect file:")
    _check_move(claims, handoff, left, final)
    return left, final


def _check_move(claims: Claims, handoff: Handoff, left: JobState, final: JobState) -> None:
    claims.check(
        "b owns the job at epoch 2, a says where it went",
        (final.host, final.epoch, left.status, left.serialize()["moved_to"]), ("b", 2, "moved", "b"),
    )
    claims.check(
        "the downtime was measured, and both documents have it",
        (handoff.downtime_ms is not None,
         [entry["downtime_ms"] for entry in (*left.handoffs, *final.handoffs)]),
        (True, [handoff.downtime_ms, handoff.downtime_ms]),
    )


def _attempts(state: JobState, routine: str = "failing") -> list[tuple[int, str, str]]:
    return [
        (entry["attempt"], entry["host"], entry["outcome"])
        for entry in state.history if entry["routine"] == routine
    ]


def _effects(path: Path, state: JobState) -> dict[str, list[tuple[str, int]]]:
    """Read what the routines of one job did: routine → (host, attempt)."""
    found: dict[str, list[tuple[str, int]]] = {}
    instance = state.serialize()["instance"]
    for line in path.read_text().splitlines():
        host, what, turn, attempt = line.split()
        if turn.startswith(f"{instance}:"):
            found.setdefault(what, []).append((host, int(attempt)))
    return found
