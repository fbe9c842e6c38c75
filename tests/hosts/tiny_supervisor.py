"""A supervisor reduced to its sockets: what zygote and actor process are tested against.

Runs as ``python -m tests.hosts.tiny_supervisor HOME PATH FILE`` too: then it starts an actor process
whose handler starts a program, writes the pids of all of them to FILE and waits to be killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import zmq

from sojourn.hosts.home import Home
from sojourn.hosts.pages import create_page
from sojourn.hosts.zygotes import ProcessHandle, Reception, Zygote
from sojourn.runtime.flow import decode_flow
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.values import encode_fields
from sojourn.runtime.wire import actor as wire
from sojourn.runtime.wire.actor import (
    Dispatch,
    FromActor,
    JobContext,
    LogLine,
    Ready,
    Result,
    Results,
    Turn,
)
from sojourn.runtime.wire.zygote import (
    Exited,
    Fork,
    Forked,
    FromZygote,
    Inspect,
    Inspected,
    LoadFailed,
)
from tests.waiting import wait_until

FLOWS = Path(__file__).parents[1] / "process_flows"
ROOT = Path(__file__).parents[2]

M = TypeVar("M", bound=FromActor)


class TinySupervisor:
    """One home, one zygote, any number of actor processes.

    Args:
        folder: where the home is made.
        paths: import paths.
        allow: packages allowed besides.
        import_timeout: seconds.
        python: interpreter; empty for this one.
    """

    def __init__(
        self, folder: Path, *, paths: Sequence[Path] = (FLOWS,), allow: Sequence[str] = (),
        import_timeout: float = 60.0, python: str = "",
    ) -> None:
        self.home = Home(folder / "home")
        self.home.create()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.set(zmq.ROUTER_MANDATORY, 1)
        self._endpoint = f"ipc://{self.home.actors_socket}"
        self._router.bind(self._endpoint)
        self.zygote = Zygote(
            python=python, paths=[str(path) for path in paths], allow=allow, modules=("acts",),
            alive_lock=self.home.alive_lock, import_timeout=import_timeout,
        )
        self._heard: list[Reception] = []
        self._inbox: dict[str, list[FromActor]] = {}
        self._requests = 0
        self.processes: list[ActorProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.zygote.close()
        for process in self.processes:
            process.handle.kill()
            process.handle.close()
        for reception in self._heard:
            for descriptor in reception.fds:
                os.close(descriptor)
        self._context.destroy(linger=0)

    # --- the zygote -------------------------------------------------------------------------

    def next_request(self) -> int:
        self._requests += 1
        return self._requests

    def hear(self, wanted: Callable[[FromZygote], bool], timeout: float = 10.0) -> Reception:
        """Wait for a message of the zygote."""

        def look() -> Reception | None:
            self._heard.extend(self.zygote.receive())
            return next((found for found in self._heard if wanted(found.message)), None)

        found = wait_until(look, timeout, "a message of the zygote")
        assert found is not None
        self._heard.remove(found)
        return found

    def answer(self, request: int, timeout: float = 10.0) -> Reception:
        return self.hear(
            lambda message: isinstance(message, (Inspected, LoadFailed, Forked))
            and message.request == request,
            timeout,
        )

    def inspect(self, locator: str) -> Inspected | LoadFailed:
        request = self.next_request()
        self.zygote.send(Inspect(request, locator))
        message = self.answer(request).message
        assert isinstance(message, (Inspected, LoadFailed))
        return message

    def inspected(self, locator: str = "acts:flow") -> Inspected:
        message = self.inspect(locator)
        assert isinstance(message, Inspected), message
        return message

    def refused(self, locator: str) -> LoadFailed:
        message = self.inspect(locator)
        assert isinstance(message, LoadFailed), message
        return message

    def exited(self, name: str) -> Exited:
        message = self.hear(lambda message: isinstance(message, Exited) and message.process == name).message
        assert isinstance(message, Exited)
        return message

    # --- actor processes --------------------------------------------------------------------

    def fork(
        self, routine: str = "plain", locator: str = "acts:flow", memory_limit: int | None = None
    ) -> ActorProcess:
        """Start an actor process; it isn't ready yet."""
        encoded = self.inspected(locator).flow
        name = f"{routine}-{len(self.processes)}"
        page = create_page(self.home.pages, name)
        request = self.next_request()
        self.zygote.send(
            Fork(
                request, name, self._endpoint, encoded, flow_digest(decode_flow(encoded)), routine,
                str(page), str(self.home.blobs), memory_limit,
            )
        )
        reception = self.answer(request)
        message = reception.message
        assert isinstance(message, Forked), message
        handle = ProcessHandle(name, message.pid, reception.fds[0], reception.fds[1], page)
        process = ActorProcess(self, handle)
        self.processes.append(process)
        return process

    def start(
        self, routine: str = "plain", locator: str = "acts:flow", memory_limit: int | None = None
    ) -> ActorProcess:
        """Start an actor process and wait until it is ready."""
        process = self.fork(routine, locator, memory_limit)
        process.ready = process.expect(Ready)
        return process

    def send(self, name: str, message: wire.ToActor) -> None:
        self.send_raw(name, wire.encode(message))

    def send_raw(self, name: str, frame: bytes) -> None:
        self._router.send_multipart([name.encode(), frame])

    def received(self, name: str) -> list[FromActor]:
        """Give what a process has sent and nobody has taken yet."""
        while True:
            try:
                sender, frame = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return self._inbox.setdefault(name, [])
            self._inbox.setdefault(sender.decode(), []).append(wire.decode_from_actor(frame))


class ActorProcess:
    """An actor process and what is said with it."""

    def __init__(self, supervisor: TinySupervisor, handle: ProcessHandle) -> None:
        self._supervisor = supervisor
        self.handle = handle
        self.name = handle.name
        self.ready = Ready(0, "")
        self.results: list[Result] = []
        self.logs: list[LogLine] = []
        self._dispatch = 0
        self._known = set[int]()

    def send(self, message: wire.ToActor) -> None:
        self._supervisor.send(self.name, message)

    def hand_over(
        self, slot: str = "input", *, job: int = 1, acknowledged: int = 0, **fields: Any
    ) -> int:
        """Hand over one message for its first attempt; give its dispatch id."""
        return self.hand_over_all([(slot, fields)], job=job, acknowledged=acknowledged)[0]

    def hand_over_all(
        self, messages: Sequence[tuple[str, dict[str, Any]]], *, job: int = 1, acknowledged: int = 0
    ) -> list[int]:
        """Hand over messages in one batch, with their job's context before the first."""
        contexts: list[JobContext] = []
        if job not in self._known:
            self._known.add(job)
            contexts.append(JobContext(job, f"job-{job}", f"instance-{job}", 7, {}, {}, shared_whole=True))
        turns: list[Turn] = []
        for slot, fields in messages:
            self._dispatch += 1
            data = encode_fields(fields, where="a test")
            turns.append(Turn(self._dispatch, job, 100 + self._dispatch, slot, 1, data))
        self.send(Dispatch(acknowledged, contexts, turns))
        return [turn.dispatch for turn in turns]

    def expect(self, kind: type[M]) -> M:
        """Wait for a message of one kind; results and lines before it are kept."""

        def look() -> M | None:
            inbox = self._supervisor.received(self.name)
            while inbox:
                message = inbox.pop(0)
                if isinstance(message, Results):
                    self.results.extend(message.results)
                    self.logs.extend(message.logs)
                if isinstance(message, kind):
                    return message
            return None

        found = wait_until(look, what=f"{kind.__name__} of {self.name}")
        assert found is not None
        return found

    def result(self, dispatch: int) -> Result:
        """Wait for the latest result of a dispatch."""
        while True:
            found = next((result for result in self.results if result.dispatch == dispatch), None)
            if found is not None:
                self.results.remove(found)
                return found
            self.expect(Results)


def write_module(folder: Path, name: str, text: str) -> Path:
    """Write a module for one test."""
    path = folder / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def is_gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def descendants(pid: int) -> set[int]:
    """Give every process below one, by the kernel's list of children."""
    found = set[int]()
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = {int(child) for task in tasks for child in (task / "children").read_text().split()}
    except OSError:
        return found
    for child in children:
        found |= {child} | descendants(child)
    return found


def main(home: Path, path: Path, file: Path) -> None:
    """Be a supervisor that will be killed."""
    supervisor = TinySupervisor(home, paths=[path])
    process = supervisor.start()
    pids = file.with_suffix(".pids")
    process.hand_over("spawn", file=str(pids))
    wait_until(pids.exists)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(sorted(descendants(os.getpid()))))
    fresh.rename(file)
    signal.pause()


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
