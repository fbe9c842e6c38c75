"""``python -m benchmarks.profiling`` (``make profile``): flame graphs of the hot path, by py-spy.

Looks at a supervisor and at one of its actor processes while thousands of jobs of the linear flow are in
flight, and writes one SVG file of each. Needs the right to trace processes: root, or 0 in
``kernel.yama.ptrace_scope``.
"""

from __future__ import annotations

import argparse
import html
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.suite.hosts import actor_pids, one_host, take_jobs
from benchmarks.suite.page import FOLDER

PY_SPY = Path(sys.executable).with_name("py-spy")
FLOW = "linear:plain"
STEPS = 3
RATE = 250
"""Looks per second."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Record both; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling", description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="how long (default: 10)")
    parser.add_argument("--jobs", type=int, default=3_000, help="in flight at once (default: 3000)")
    parser.add_argument("--into", type=Path, default=FOLDER, metavar="DIR", help="where the files go")
    options = parser.parse_args(arguments)
    options.into.mkdir(parents=True, exist_ok=True)
    if not PY_SPY.exists():
        raise SystemExit(f"{PY_SPY} is missing: pip install 'sojourn[bench]'")
    with (
        tempfile.TemporaryDirectory(prefix="sojourn-profile-", ignore_cleanup_errors=True) as folder,
        one_host(Path(folder)) as host, host.client() as client,
    ):
        jobs = [{"i": n} for n in range(options.jobs)]
        take_jobs(client, FLOW, jobs, STEPS)
        recorders = {
            path: record(pid, options.seconds, path)
            for name, pid in (("supervisor", host.pid), ("actor", actor_pids(host)[0]))
            for path in [options.into / f"profile-{name}.svg"]
        }
        while any(recorder.poll() is None for recorder in recorders.values()):
            take_jobs(client, FLOW, jobs, STEPS)
    for path, recorder in recorders.items():
        if recorder.returncode == 0:
            path.write_text(titled(path.read_text(), f"{path.stem}, {options.jobs:,} jobs in flight"))
            print(path, file=sys.stderr)
    return max(recorder.returncode for recorder in recorders.values())


def titled(drawing: str, title: str) -> str:
    """Say what a flame graph shows, instead of the command that drew it."""
    return re.sub(r'(<text id="title"[^>]*>)[^<]*', lambda found: found[1] + html.escape(title), drawing)


def record(pid: int, seconds: int, path: Path) -> subprocess.Popen[bytes]:
    """Start recording a process into a file."""
    return subprocess.Popen([
        str(PY_SPY), "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(RATE),
        "--format", "flamegraph", "--output", str(path), "--function",
    ], stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
