"""DBOS on SQLite: a workflow of three trivial steps, from a queue or by itself. See ``protocol``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from benchmarks.peers.protocol import Peer, serve, version


def step(i: int) -> int:
    return i + 1


def start(folder: Path) -> Peer:
    dbos = import_module("dbos")
    database = f"sqlite:///{folder}/dbos.db"
    dbos.DBOS(config={"name": "benchmark", "system_database_url": database, "log_level": "ERROR"})
    steps = [dbos.DBOS.step(name=name)(step) for name in ("one", "two", "three")]

    def three(i: int) -> int:
        for each in steps:
            i = each(i)
        return i

    flow = dbos.DBOS.workflow(name="three")(three)
    dbos.DBOS.launch()
    queue = dbos.DBOS.register_queue("jobs", polling_interval_sec=0.01)

    def queued(count: int) -> None:
        for handle in [queue.enqueue(flow, i) for i in range(count)]:
            handle.get_result()

    def single() -> None:
        flow(0)

    # synchronous=FULL is SQLite's own default, and it changes nothing there
    return Peer(f"{version(dbos)} on SQLite, synchronous=FULL", queued, single, dbos.DBOS.destroy)


if __name__ == "__main__":
    serve(start)
