"""Celery on Redis with an append-only file synced at every write: a chain of three trivial tasks.

See ``protocol``. The same file is the module that Celery's own worker imports.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.peers.protocol import Peer, serve, version

SOCKET = "SOJOURN_BENCH_REDIS"
"""Environment variable with the path of Redis's socket."""

MODULE = "benchmarks.peers.celery_worker"


def step(i: int) -> int:
    return i + 1


def make_app() -> Any:
    """Make the Celery application, in this process or in its worker."""
    celery = import_module("celery")
    url = os.environ[SOCKET]
    made = celery.Celery("benchmark", broker=f"redis+socket://{url}", backend=f"redis+socket://{url}")
    made.conf.update(task_acks_late=True, worker_hijack_root_logger=False)
    made.task(name="step")(step)
    return made


app = make_app() if SOCKET in os.environ else None


def start(folder: Path) -> Peer:
    celery = import_module("celery")
    import_module("redis")
    server = shutil.which("redis-server")
    if server is None:
        raise OSError("redis-server is not installed: apt-get install redis-server")
    os.environ[SOCKET] = str(folder / "redis.sock")
    redis = subprocess.Popen(
        [server, "--port", "0", "--unixsocket", os.environ[SOCKET], "--dir", str(folder),
         "--appendonly", "yes", "--appendfsync", "always", "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", MODULE, "worker", "--loglevel", "ERROR",
         "--concurrency", str(len(os.sched_getaffinity(0))), "--without-gossip", "--without-mingle"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2],
    )
    made = make_app()

    def begin(i: int) -> Any:
        return celery.chain(*(made.signature("step", args) for args in ((i,), (), ()))).apply_async()

    def queued(count: int) -> None:
        for result in [begin(i) for i in range(count)]:
            result.get(timeout=600)

    def single() -> None:
        begin(0).get(timeout=60)

    def stop() -> None:
        for process in (worker, redis):
            process.terminate()
            process.wait()

    return Peer(f"{version(celery)}, Redis with appendfsync always", queued, single, stop)


if __name__ == "__main__":
    serve(start)
