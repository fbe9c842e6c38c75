"""Zygotes and actor processes of a host: started when wanted, watched, settled when they die.

Who was running when a process died is read from its progress page. Whether a job runs at all, and
what an attempt's end means, is the engine's to say.
"""

from __future__ import annotations

import math
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from sojourn.hosts.pages import create_page
from sojourn.hosts.supervisor.codebases import CodeBase, CodeBases, Question
from sojourn.hosts.supervisor.core import Core, ToProcess
from sojourn.hosts.supervisor.deaths import Death, describe_exit, settle_dead
from sojourn.hosts.supervisor.outputs import Outputs
from sojourn.hosts.supervisor.processes import ProcessEnd, Processes
from sojourn.hosts.supervisor.recalls import Recalls
from sojourn.hosts.supervisor.starts import IMPORT, Starts
from sojourn.hosts.zygotes import Reception
from sojourn.runtime.engine.inputs import Block, Settle, Unsend
from sojourn.runtime.engine.model import Message
from sojourn.runtime.flow import encode_flow
from sojourn.runtime.job import JobStatus
from sojourn.runtime.pool import Pool, PoolKey, Worker
from sojourn.runtime.progress_page import Running
from sojourn.runtime.wire.actor import (
    Forget,
    FromActor,
    Ready,
    Recalled,
    Results,
    Stop,
)
from sojourn.runtime.wire.zygote import (
    Exited,
    Fork,
    Forked,
    Inspected,
    LoadFailed,
    Started,
)

IDLE_SECONDS = 60.0
"""How long processes of a flow without unfinished jobs are kept."""


LOOK_SECONDS = 5.0
"""How long after a round is looked for processes that are idle; looks of several rounds are one."""


class Process:
    """One actor process from the fork on."""

    __slots__ = ("base", "doom", "doomed_dispatch", "handle", "name", "pool", "ready", "tail", "timeout")

    def __init__(self, name: str, pool: PoolKey, base: CodeBase, timeout: float | None) -> None:
        self.name = name
        self.timeout = timeout
        """Seconds of one of its attempts."""
        self.pool = pool
        self.base = base
        self.handle: ProcessEnd | None = None
        self.ready = False
        self.doom = ""
        """Why the supervisor killed it: ``timeout``, ``killed`` or nothing."""
        self.doomed_dispatch = 0
        self.tail = ""
        """The end of what it printed, for the reason of a failed start."""


class Fleet:
    """All zygotes and actor processes.

    Args:
        core: shared state.
        drain_actors: takes in everything that actor processes have sent; called before a dead
            process is settled, so that results which arrived are counted.
        processes: makes zygotes and takes hold of what they fork.
    """

    def __init__(
        self, core: Core, drain_actors: Callable[[], None], processes: Processes
    ) -> None:
        self._core = core
        self._drain_actors = drain_actors
        self._machine = processes
        self.code = CodeBases(core, processes)
        self._starts = Starts(core)
        self._processes: dict[str, Process] = {}
        self._outputs = Outputs()
        self._next_process = 1
        self._idle_since: dict[str, float] = {}
        self._warmed: set[str] = set()
        self._next_look = math.inf
        """Monotonic time of the next look for processes that are idle."""
        self._read_out: list[Path] = []
        """Pages of dead processes whose story is on disk with the round under way."""
        self.recalls = Recalls(core, self._running_in)

    # --- what comes in --------------------------------------------------------------------

    def filenos(self) -> list[int]:
        """Give every descriptor to poll."""
        return [
            self._outputs.fileno(),
            *(base.zygote.fileno() for base in self.code if not base.zygote.dead),
        ]

    def receive(self) -> None:
        """Take in what zygotes say and what processes print."""
        for name in self._outputs.ready():
            if name in self._processes:
                self._drain_output(self._processes[name])
        for base, reception in self.code.receive():
            self._heard(base, reception)
        for base in self.code:
            if base.zygote.dead:
                self._lost(base)
        if self.code.retired:
            self._stop_retired()

    def _heard(self, base: CodeBase, reception: Reception) -> None:
        message = reception.message
        match message:
            case Started():
                pass
            case Inspected():
                refused = self.code.inspected(base, message)
                if refused is not None:
                    self._block(refused[0], None, refused[1])
                for digest in base.checked:
                    self._starts.succeeded((digest, IMPORT))
            case LoadFailed():
                self._load_failed(base, message, died=reception.died)
            case Forked():
                self._forked(base, message, reception.fds)
            case Exited():
                self._exited(message)

    def _load_failed(self, base: CodeBase, message: LoadFailed, *, died: bool) -> None:
        question = self.code.load_failed(base, message, died=died)
        if question is None:
            return
        if question.pool is not None:
            self._processes.pop(question.process, None)
            self._start_failed(question.pool, message.message)
        elif question.digest and not died:
            self._block(question.digest, None, message.message)
        elif question.digest and question.ticket is None:
            # a zygote that is killed says nothing of the code: it is imported again, ever later
            self._start_failed((question.digest, IMPORT), message.message)

    def _forked(self, base: CodeBase, message: Forked, fds: list[int]) -> None:
        base.asked.pop(message.request, None)
        process = self._processes.get(message.process)
        if process is None or process.handle is not None:
            for descriptor in fds:
                os.close(descriptor)
            return
        page = self._core.home.pages / message.process
        process.handle = self._machine.hold(message.process, message.pid, fds, page)
        self._outputs.add(message.process, process.handle.output_fd)

    def from_actor(self, name: str, message: FromActor) -> None:
        """Take in what an actor process sent."""
        process = self._processes.get(name)
        if process is None:
            return
        dispatcher = self._core.dispatcher
        if isinstance(message, Ready):
            process.ready = True
            dispatcher.add_worker(Worker(name, process.pool, message.code))
            self._starts.succeeded(process.pool)
            return
        worker = dispatcher.workers.get(name)
        if worker is None:
            return
        if isinstance(message, Results):
            self._results(worker, message)
        else:
            answer = isinstance(message, Recalled)
            self._core.apply(Unsend(dispatcher.unsent(worker, message.dispatches, answer=answer)))

    def _results(self, worker: Worker, message: Results) -> None:
        core = self._core
        if message.results:
            # Before these turns are over: with their job they would be out of memory.
            ended = worker.outstanding.get(message.results[-1].dispatch)
            self._drain_output(self._processes[worker.name], ended)
        for line in message.logs:
            job = core.engine.job(line.job)
            if job is not None:
                core.add_log(
                    line.job, worker.pool[1], line.message, line.attempt, line.at, line.stream,
                    line.text,
                )
        known = core.dispatcher.returned(worker, message.results, core.now.monotonic)
        core.apply(Settle(known, worker.code))

    def _drain_output(self, process: Process, ended: Message | None = None) -> None:
        """Keep what a process, or a child of it, wrote to its descriptors.

        Args:
            process: whose.
            ended: message whose turn has just ended; None to ask the process's page.
        """
        handle = process.handle
        if handle is None or handle.output_fd < 0:
            return
        raw = handle.drain_output()
        if not raw:
            return
        text = raw.decode("utf-8", "replace")
        process.tail = (process.tail + text)[-2000:]
        if ended is not None:
            turn = (ended.actor.job.row, ended.number, ended.attempts + 1)
        else:
            running = handle.glance()
            job = self._core.engine.job(running.job) if running.begun else None
            if job is None or job.head.epoch != running.epoch:
                self._core.log.info("output outside a turn", process=process.name, text=text[-2000:])
                return
            turn = (running.job, running.message, running.attempt)
        row, number, attempt = turn
        for line in text.splitlines():
            self._core.add_log(
                row, process.pool[1], number, attempt, self._core.now.wall, "stdout", line[:8192]
            )

    # --- starting -------------------------------------------------------------------------

    def serve(self) -> None:
        """Start the processes that are wanted."""
        dispatcher = self._core.dispatcher
        dispatcher.enqueue()
        for pool in dispatcher.understaffed():
            self._serve_pool(pool)

    def warm_up(self, digest: str) -> None:
        """Have the code of a flow imported, so that due turns find it loaded; once is enough."""
        if digest not in self._warmed:
            self._warmed.add(digest)
            self.code.check(digest, encode_flow(self._core.plan(digest).spec), None)

    def clear_failures(self, digest: str) -> None:
        """Forget why a flow couldn't be run: someone says that the cause is mended."""
        self.code.clear_failures(digest)
        self._starts.clear(digest)
        self._stop_retired()

    def prepare(self, digest: str) -> None:
        """Start one process for every routine of a flow that is about to arrive."""
        plan = self._core.plan(digest)
        for routine in plan.spec.routines:
            key = (digest, routine.id)
            dispatcher = self._core.dispatcher
            pool = dispatcher.pools.get(key)
            if pool is None:
                pool = dispatcher.pools[key] = Pool(key, routine.processes, routine.parallel)
            if not pool.workers and not self._starting(key):
                self._start(pool)
        self._idle_since[digest] = self._core.now.monotonic

    def spares(self, most: int) -> bool:
        """Whether so many processes run for no job that is here, or more."""
        if len(self._processes) < most:
            return False
        live = {job.plan.digest for job in self._core.engine.book.jobs.values()}
        return sum(process.pool[0] not in live for process in self._processes.values()) >= most

    def prepared(self, digest: str) -> bool:
        """Whether every routine of a flow has a process that is ready."""
        plan = self._core.plan(digest)
        pools = self._core.dispatcher.pools
        return all(
            (pool := pools.get((digest, routine.id))) is not None and bool(pool.workers)
            for routine in plan.spec.routines
        )

    def _starting(self, key: PoolKey) -> int:
        return sum(
            1 for process in self._processes.values() if process.pool == key and not process.ready
        )

    def _serve_pool(self, pool: Pool) -> None:
        working = sum(1 for worker in pool.workers.values() if not worker.stopping)
        missing = pool.wanted() - working - self._starting(pool.key)
        if missing <= 0:
            if not pool.workers:
                pool.prune()
            return
        for _ in range(missing):
            if not self._start(pool):
                return

    def _start(self, pool: Pool) -> bool:
        """Start one process; False where something has to happen first."""
        core = self._core
        digest, routine = pool.key
        given_up = self._starts.given_up(pool.key)
        if given_up is not None:
            self._block(digest, routine, given_up)
            pool.prune()
            return False
        if not self._starts.may_start(pool.key):
            return False
        flow = encode_flow(core.plan(digest).spec)
        base = self.code.serving(digest)
        if base is None or not (digest in base.checked or digest in base.failed):
            if base is None or digest not in base.checking:
                self._import(pool, flow)
            return False
        if digest in base.failed:
            self._block(digest, None, base.failed[digest])
            pool.prune()
            return False
        base.used = core.now.monotonic
        name = f"{routine}-{self._next_process}"
        self._next_process += 1
        try:
            create_page(core.home.pages, name)
        except OSError as error:
            self._start_failed(
                pool.key, f"{core.home.pages / name} can't be written ({error.strerror}): make room there"
            )
            return False
        self._processes[name] = Process(name, pool.key, base, core.plan(digest).routines[routine].timeout)
        self.code.ask(
            base,
            Question(digest, None, pool.key, name),
            lambda number: Fork(
                number, name, f"ipc://{core.home.actors_socket}", flow, digest, routine,
                str(core.home.pages / name), str(core.home.blobs), core.options.memory_limit,
            ),
        )
        return True

    def _import(self, pool: Pool, flow: bytes) -> None:
        """Have a flow's code imported, unless its zygotes died over and over."""
        key = (pool.key[0], IMPORT)
        given_up = self._starts.given_up(key)
        if given_up is not None:
            self._block(key[0], None, given_up)
            pool.prune()
        elif self._starts.may_start(key):
            self.code.check(key[0], flow, None)

    def _start_failed(self, key: PoolKey, reason: str) -> None:
        self._starts.failed(key, reason)
        given_up = self._starts.given_up(key)
        if given_up is not None:
            self._block(key[0], None if key[1] == IMPORT else key[1], given_up)

    def _block(self, digest: str, routine: str | None, reason: str) -> None:
        core = self._core
        blockable = (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.BLOCKED)
        for job in list(core.engine.book.jobs.values()):
            if job.plan.digest != digest or job.head.status not in blockable:
                continue
            if routine is not None:
                actor = job.actors.get(routine)
                if actor is None or not actor.ready:
                    continue
            if job.head.status is not JobStatus.BLOCKED or job.head.reason != reason:
                core.log.warning("job blocked", job=job.head.job_id, reason=reason)
                core.apply(Block(job.row, reason))

    # --- killing --------------------------------------------------------------------------

    def _kill_timeouts(self) -> float | None:
        """Kill turns over their timeout; give when the next one would be."""
        core = self._core
        nearest: float | None = None
        for worker in core.dispatcher.busy.values():
            if not worker.outstanding:
                continue
            process = self._processes[worker.name]
            timeout = process.timeout
            if timeout is None or process.handle is None or process.doom:
                continue
            running = process.handle.glance()
            due = core.now.monotonic + timeout
            if running.in_flight:
                due = running.monotonic_start + timeout
                if due <= core.now.monotonic:
                    self._kill(worker.name, "timeout", running.begun)
                    continue
            nearest = due if nearest is None else min(nearest, due)
        return nearest

    def _kill(self, name: str, doom: str, dispatch: int) -> None:
        process = self._processes.get(name)
        if process is None or process.handle is None or process.doom:
            return
        process.doom = doom
        process.doomed_dispatch = dispatch
        process.handle.kill()

    def distrust(self, name: str) -> None:
        """Kill a process that sends what can't be read: what it did since its last commit point is done
        again, at no attempt's cost."""
        self._kill(name, "killed", 0)

    def tend(self) -> float | None:
        """Kill what is over its time, stop what is idle; give when to look again (monotonic).

        Called when a round is on disk.
        """
        read_out, self._read_out = self._read_out, []
        for page in read_out:
            page.unlink(missing_ok=True)
        for name in self.recalls.overdue():
            self._kill(name, "killed", 0)
        now = self._core.now.monotonic
        if now >= self._next_look:
            self._next_look = self._stop_idle()
        else:
            self._next_look = min(self._next_look, now + LOOK_SECONDS)
        times = (
            self._kill_timeouts(), self.recalls.next_deadline(), self._starts.next_due(),
            self.code.next_deadline(), self._next_look,
        )
        return min(time for time in times if time is not None)

    def _stop_idle(self) -> float:
        """Stop what nobody has used for a while; give when the next would be (monotonic)."""
        now = self._core.now.monotonic
        ends = [math.inf]
        live = {job.plan.digest for job in self._core.engine.book.jobs.values()}
        pools = self._core.dispatcher.pools
        for key, pool in list(pools.items()):
            if key[0] in live:
                self._idle_since.pop(key[0], None)
                continue
            since = self._idle_since.setdefault(key[0], now)
            if now - since < IDLE_SECONDS:
                ends.append(since + IDLE_SECONDS)
                continue
            for worker in pool.workers.values():
                self._stop(worker)
            if not pool.workers and not self._starting(key):
                del pools[key]
        ends.append(self.code.stop_idle(
            lambda base: any(process.base is base for process in self._processes.values())
        ))
        return min(ends)

    def _stop_retired(self) -> None:
        """Let the processes of retired code end after their turns; new ones come from another."""
        retired, self.code.retired = self.code.retired, []
        if not retired:
            return
        for process in self._processes.values():
            worker = self._core.dispatcher.workers.get(process.name)
            if process.base in retired and worker is not None:
                self._stop(worker)

    def _stop(self, worker: Worker) -> None:
        if worker.stopping:
            return
        worker.stopping = True
        if worker.outstanding:
            self.recalls.recall_from(worker, None)
        self._core.send(ToProcess(worker.name, Stop()))

    def forget(self, rows: Iterable[int]) -> None:
        """Tell processes to drop the actors of jobs."""
        known: dict[str, list[int]] = {}
        for row in rows:
            for worker in self._core.dispatcher.forget(row):
                known.setdefault(worker.name, []).append(row)
            self.recalls.forget(row)
        for name, gone in known.items():
            self._core.send(ToProcess(name, Forget(gone)))

    # --- deaths ---------------------------------------------------------------------------

    def _exited(self, message: Exited) -> None:
        process = self._processes.get(message.process)
        if process is None:
            return
        self._drain_actors()
        self._drain_output(process)
        del self._processes[message.process]
        worker = self._core.dispatcher.remove_worker(process.name)
        if worker is None:
            tail = process.tail.strip().splitlines()
            said = f"; it said: {tail[-1]}" if tail else ""
            self._start_failed(process.pool, f"{describe_exit(message.status)} at its start{said}")
        else:
            self._settle_dead(process, worker, message.status)
        self._bury(process)

    def _lost(self, base: CodeBase) -> None:
        """A zygote died, and with it its processes."""
        for process in [p for p in self._processes.values() if p.base is base]:
            process.doom = process.doom or "killed"
            if process.handle is not None:
                process.handle.kill()
                process.handle.wait()
            self._drain_actors()
            self._drain_output(process)
            del self._processes[process.name]
            worker = self._core.dispatcher.remove_worker(process.name)
            if worker is not None:
                self._settle_dead(process, worker, -signal.SIGKILL)
            self._bury(process)
        self.code.lost(base)

    def _settle_dead(self, process: Process, worker: Worker, status: int) -> None:
        page = process.handle.read_page() if process.handle is not None else None
        settle_dead(
            self._core, worker, Death(status, process.doom, process.doomed_dispatch, page)
        )

    def _bury(self, process: Process) -> None:
        """Let a dead process go; its page stays until what it told is on disk."""
        if process.handle is not None:
            process.handle.close()
        self._read_out.append(self._core.home.pages / process.name)

    # --- start and stop of the host -------------------------------------------------------

    def busy(self) -> bool:
        """Whether anything is out at a process."""
        return any(worker.outstanding for worker in self._core.dispatcher.workers.values())

    def close(self, *, settled: bool) -> None:
        """Kill every process and zygote.

        Args:
            settled: whether everything that they did is on disk; else their pages stay for the next start.
        """
        for process in self._processes.values():
            if process.handle is not None:
                process.handle.kill()
        self.code.close()
        for process in self._processes.values():
            self._bury(process)
        self._processes.clear()
        self._outputs.close()
        for page in self._read_out if settled else ():
            page.unlink(missing_ok=True)

    def describe(self) -> list[dict[str, object]]:
        """List the actor processes and how many messages of which job each has, for ``status``."""
        return [
            {
                "process": process.name, "routine": process.pool[1], "flow": process.pool[0],
                "pid": process.handle.pid if process.handle is not None else None,
                "ready": process.ready,
                "messages": self._messages_at(process.name),
            }
            for process in self._processes.values()
        ]

    def _messages_at(self, name: str) -> dict[str, int]:
        worker = self._core.dispatcher.workers.get(name)
        if worker is None:
            return {}
        return dict(Counter(m.actor.job.head.job_id for m in worker.outstanding.values()))

    def is_running(self, row: int) -> bool:
        """Whether an attempt of a job is executing, by the pages."""
        job = self._core.engine.job(row)
        return job is not None and job.out > 0 and any(
            self._running_in(worker.name) == row for worker in self._core.dispatcher.holders(row)
        )

    def glance(self, name: str) -> Running | None:
        """Give what a process's page says of what runs in it; None where there is no such process."""
        process = self._processes.get(name)
        return None if process is None or process.handle is None else process.handle.glance()

    def _running_in(self, name: str) -> int:
        """Give the row of the job whose turn a process executes, by its page; 0 for none."""
        running = self.glance(name)
        return running.job if running is not None and running.in_flight else 0

