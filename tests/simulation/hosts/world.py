"""A world of hosts, run by a seed: everything goes wrong until its horizon, then all is mended and must end
well.
"""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgpack
import msgspec
import zmq

from sojourn.hosts.store.protocol import Store
from sojourn.runtime.flow import encode_flow
from sojourn.runtime.handoff.table import SourceState
from sojourn.runtime.job import JobStatus, Ownership
from sojourn.runtime.wire.client import Cancel, Command, Failure, Migrate, Pause, Resume, Retry, Submit
from sojourn.runtime.wire.whole_hosts import Cordon, Drain
from tests.simulation.hosts.clients import Body
from tests.simulation.hosts.disk import SimSqliteStore, open_memory
from tests.simulation.hosts.flows import expected
from tests.simulation.hosts.host import SimHost, clear
from tests.simulation.hosts.judge import Judge, Story
from tests.simulation.hosts.memory_store import Disk
from tests.simulation.hosts.network import Network, Weather
from tests.simulation.hosts.plan import Happening, JobPlan, Plan, make_plan
from tests.simulation.hosts.schedule import Schedule, Violation

PATIENCE = 400.0
"""Virtual seconds after the horizon within which everything must have come to rest."""

CONTEXT: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
SHM = Path("/dev/shm")


class Report(msgspec.Struct):
    """What a seed came to."""

    seed: int
    digest: str
    steps: int
    virtual_seconds: float
    counts: dict[str, int]
    violation: str = ""
    trace: str = ""

    def told(self) -> str:
        """Tell of a violation, with what led to it and how to see it again."""
        again = f"python -m tests.simulation.hosts.soak --seed {self.seed}"
        return f"{self.trace}\n\nseed {self.seed}: {self.violation}\nagain: {again}"


class World:
    """Hosts, network, clients and the judge of one seed.

    Args:
        seed: of everything.
        folder: for the hosts' homes.
        sqlite: whether the stores are the shipped ones.
        plan: instead of the seed's own.
    """

    def __init__(
        self, seed: int, folder: Path, *, sqlite: bool = False, plan: Plan | None = None
    ) -> None:
        self.plan = plan or make_plan(seed)
        self.schedule = Schedule(seed)
        self._drain_due: dict[str, float] = {}
        self.judge = Judge(self.schedule)
        self.network = Network(self.schedule)
        self.network.weather = self.plan.weather
        self._sqlite = sqlite
        self._disks: dict[str, Disk] = {}
        self._ids: dict[int, str] = {}
        """Number of a job → its id, once it is known."""
        self._store_ids: dict[str, str] = {}
        self.hosts = [
            SimHost(
                name, folder / name, self.schedule, self.network, self.judge, self._open_store, CONTEXT
            )
            for name in "abcd"[: self.plan.hosts]
        ]
        self.network.hosts.extend(self.hosts)

    def _open_store(self, host: SimHost, now: float) -> Store:
        fresh = f"store-of-{host.name}"
        if self._sqlite:
            return SimSqliteStore.of(host.home.store, now, fresh, host)
        return open_memory(self._disks.setdefault(host.name, Disk()), now, fresh, host)

    # --- running ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Run it to its end.

        Raises:
            Violation: if something that must never be was seen.
        """
        plan, schedule = self.plan, self.schedule
        for host in self.hosts:
            host.boot([other.name for other in self.hosts if other is not host])
        for number, job in enumerate(plan.jobs):
            schedule.after(job.at, lambda number=number, job=job: self._submit(number, job))  # type: ignore[misc]
        for happening in plan.happenings:
            schedule.after(happening.at, lambda it=happening: self._do(it))  # type: ignore[misc]
        self._run_until(plan.horizon)
        self._mend()
        self._rest()
        self._judge_the_end()
        if self._some_record_is_open():
            self._start_all_again()
        for host in self.hosts:
            self._judge_leftovers(host)

    def _some_record_is_open(self) -> bool:
        """Whether a host keeps the record of a hand-off that it offered and aborted."""
        return any(
            record.state == SourceState.PRECOPY
            for host in self.hosts if host.store is not None for record in host.store.handoffs()
        )

    def _start_all_again(self) -> None:
        for host in self.hosts:
            host.crash()
            host.boot()
        self._rest()

    def _rest(self) -> None:
        """Run until nothing is left to be done."""
        end = self.schedule.now + PATIENCE
        while not self._at_rest():
            if self.schedule.now > end:
                raise Violation(f"liveness: after {PATIENCE:g} s all mended: {self._unrest()}")
            self._run_until(self.schedule.now + 1.0)
            self._look_after()

    def _run_until(self, end: float) -> None:
        schedule = self.schedule
        while (at := schedule.next_at()) is not None and at <= end:
            schedule.step()
        schedule.now = max(schedule.now, end)

    # --- what people do ---------------------------------------------------------------------------

    def _submit(self, number: int, job: JobPlan) -> None:
        data = msgpack.packb({"items": job.items, "tag": number})
        command = Submit(None, encode_flow(job.flow), [data], [job.job_id])

        def done(answer: Body | Failure) -> None:
            if isinstance(answer, Failure):  # its code couldn't be loaded just then
                self.schedule.after(0.5, lambda: self._submit(number, job))
                return
            self._ids[number] = answer["job_ids"][0]
            self.judge.submitted(self._ids[number])

        self.hosts[job.host].client.ask(command, done)

    def _story(self, number: int) -> Story | None:
        job_id = self._ids.get(number)
        return None if job_id is None else self.judge.story(job_id)

    def _whom_to_ask(self, story: Story) -> SimHost | None:
        """Somebody asks the owner, or just any host that ever had the job."""
        owner = self.judge.owner(story)
        names = sorted(story.held)
        name = self.schedule.chance.choice(names)
        if owner is not None and self.schedule.happens(0.8):
            name = owner
        return next((host for host in self.hosts if host.name == name and host.up), None)

    def _act(
        self, number: int, make: Callable[[Story], Command], done: Callable[[Story, Body], None],
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        story = self._story(number)
        host = None if story is None else self._whom_to_ask(story)
        if story is None or host is None:
            return

        def answered(answer: Body | Failure) -> None:
            if isinstance(answer, Failure):
                refused()
            else:
                done(story, answer)

        host.client.ask(make(story), answered)

    def _move(self, it: Happening) -> None:
        story = self._story(it.job)
        owner = None if story is None else self.judge.owner(story)
        to = self.hosts[it.other].name
        if to == owner:
            to = self.hosts[it.other - 1].name
        again = partial(self._move, msgspec.structs.replace(it, number=it.number + 1))
        if it.number > 3:  # it was refused often enough
            return
        grace = None if it.seconds >= 10.0 else it.seconds
        self._act(
            it.job, lambda story: Migrate(story.job_id, to, grace),
            lambda story, body: self.judge.moved(story.job_id, to, body["epoch"]),
            lambda: self.schedule.after(0.4, again),
        )

    def _pause(self, it: Happening) -> None:
        def done(story: Story, body: Body) -> None:
            if body["status"] == JobStatus.PAUSED:
                self.judge.paused(story.job_id)

        self._act(it.job, lambda story: Pause(story.job_id), done)

    def _cancel(self, it: Happening) -> None:
        self._act(
            it.job, lambda story: Cancel(story.job_id),
            lambda story, body: self.judge.cancelled(story.job_id, body["status"]),
        )

    def _drain(self, it: Happening) -> None:
        """Drain the host that has a job."""
        story = self._story(it.job)
        owner = None if story is None else self.judge.owner(story)
        host = next((host for host in self.hosts if host.name == owner), self.hosts[it.host])

        due = self.schedule.now + it.seconds
        # who asks again may be told of a drain that was asked for earlier
        due = self._drain_due[host.name] = min(due, self._drain_due.get(host.name, due))

        def done(answer: Body | Failure) -> None:
            if not isinstance(answer, Failure):
                self.judge.drained(host.name, answer["jobs"], in_time=self.schedule.now < due)

        if host.up:
            host.client.ask(Drain(None, it.seconds, 0.3), done)

    # --- what goes wrong --------------------------------------------------------------------------

    def _do(self, it: Happening) -> None:
        host, other = self.hosts[it.host], self.hosts[it.other]
        later = self.schedule.after
        match it.what:
            case "move":
                self._move(it)
            case "pause":
                self._pause(it)
            case "cancel":
                self._cancel(it)
            case "drain":
                self._drain(it)
            case "crash":
                host.crash(power=it.number % 2 == 1)
                later(it.seconds, host.boot)
            case "fuse":
                host.doom(fuse=it.number)
                later(it.seconds, host.boot)
            case "disk":
                host.fate_after(it.number, it.fate)
                later(it.seconds, host.boot)
            case "full":
                host.broken_disk = True
                later(it.seconds, lambda: setattr(host, "broken_disk", False))
            case "part" | "deafen":
                ways = {(host.name, other.name), (other.name, host.name)}
                if it.what == "deafen":
                    ways = {(host.name, other.name)}
                self.schedule.note("network", f"nothing passes {sorted(ways)}")
                self.network.blocked |= ways
                later(it.seconds, lambda: self._unblock(ways))
            case "break":
                connection = self.network.between(host.name, other.name)
                if connection is not None:
                    self.network.break_off(connection, notice=2.0)
            case "clock":
                self.schedule.note(host.name, f"its wall clock jumps by {it.seconds:g} s")
                host.wall += it.seconds
                self.judge.clock_is_set(host.name)
            case "zygote":
                host.kill_a_zygote()
            case "code":
                host.unloadable.add(("steps",))
                later(it.seconds, host.unloadable.clear)
            case _:
                raise AssertionError(it.what)

    def _unblock(self, ways: set[tuple[str, str]]) -> None:
        self.network.blocked -= ways
        self.network.connect_all()

    # --- the end ----------------------------------------------------------------------------------

    def _mend(self) -> None:
        """From now on nothing goes wrong."""
        self.schedule.note("world", "all is mended")
        self.network.weather = Weather()
        self.network.blocked.clear()
        for host in self.hosts:
            host.broken_disk = False
            host.undoom()
            host.unloadable.clear()
            host.boot()
            host.client.ask(Cordon(on=False), lambda _answer: None)
        self.network.connect_all()

    def _look_after(self) -> None:
        """What operators do about jobs that wait for them."""
        for story in self.judge.stories.values():
            owner = self.judge.owner(story)
            if owner is None:
                continue
            held = story.held[owner]
            host = next(host for host in self.hosts if host.name == owner)
            if host.client.open:
                continue
            if held.held or held.status is JobStatus.PAUSED:
                self.judge.resuming(story.job_id)
                host.client.ask(Resume(story.job_id), lambda _answer: None)
            elif held.status in (JobStatus.BLOCKED, JobStatus.FAILED):
                host.client.ask(Retry(story.job_id), lambda _answer: None)

    def _at_rest(self) -> bool:
        return not self._unrest()

    def _unrest(self) -> list[str]:
        """Give all that isn't at rest."""
        found = [
            f"{story.job_id} ({msgspec.to_builtins(story.held)})"
            for story in self.judge.stories.values()
            if (owner := self.judge.owner(story)) is None or not story.held[owner].status.finished
        ]
        if len(self._ids) < len(self.plan.jobs):
            found.append("a submit")
        for host in self.hosts:
            found.extend(
                f"{host.name} owes an answer to {type(asked.request.command).__name__}"
                for asked in host.client.open.values()
            )
            if host.supervisor is None:
                found.append(f"{host.name} is down")
                continue
            core, moves = host.supervisor.core, host.supervisor.moves
            found.extend(f"{host.name} has {entry}" for entry in moves.open_handoffs())
            found.extend(f"{host.name} withholds {row}" for row in core.withheld)
            found.extend(f"{host.name} moves {row}" for row in core.moving)
        return found

    def _judge_the_end(self) -> None:
        for number, job in enumerate(self.plan.jobs):
            story = self._story(number)
            assert story is not None
            owner = self.judge.owner(story)
            host = next(host for host in self.hosts if host.name == owner)
            assert host.store is not None
            work = job.flow.routine("work")
            assert work is not None
            self.judge.outcome(story, host.store, expected(job.items), parallel=work.parallel)
        if len(self.judge.stories) != len(self.plan.jobs):
            raise Violation(f"once: {len(self.judge.stories)} jobs of {len(self.plan.jobs)} submits")

    def _judge_leftovers(self, host: SimHost) -> None:
        """Nothing of a hand-off that ended is left but what must be kept."""
        assert host.store is not None
        open_records = [
            (record.role, record.state, record.job_id) for record in host.store.handoffs()
            if (record.role, record.state) != ("source", "gone")
        ]
        if open_records:
            raise Violation(f"leftovers: {host.name} keeps records {open_records}")
        reserved = list(host.home.reserved.iterdir())
        if reserved:
            raise Violation(f"leftovers: {host.name} keeps room {reserved}")
        disk = self._disks.get(host.name)
        if disk is not None:
            orphans = [row for row, rows in disk.rows.items() if row not in disk.heads and any(
                (rows.messages, rows.history, rows.attributes, rows.shared, rows.questions, rows.logs,
                 rows.blobs)
            )]
            if orphans:
                raise Violation(f"leftovers: {host.name} keeps rows of no job {orphans}")
        for _, head in host.store.heads():
            if head.ownership is Ownership.RELEASED:
                raise Violation(f"leftovers: {host.name} still waits for {head.moved_to} ({head.job_id})")

    def report(self, violation: str = "") -> Report:
        """Give what it came to."""
        counts: dict[str, int] = {"turns": self.judge.turns, "moves": self.judge.moves}
        for source in (*(host.counts for host in self.hosts), self.network.counts):
            for name, number in source.items():
                counts[name] = counts.get(name, 0) + number
        schedule = self.schedule
        return Report(
            schedule.seed, schedule.digest(), schedule.steps, schedule.now, counts, violation,
            schedule.tail() if violation else "",
        )


def run_seed(seed: int, *, sqlite: bool = False, plan: Plan | None = None) -> Report:
    """Run one seed.

    Args:
        seed: it.
        sqlite: whether the stores are the shipped ones.
        plan: instead of the seed's own.

    Returns:
        What it came to; a violation is in it, not raised.
    """
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None, prefix="sim-") as folder:
        world = World(seed, Path(folder), sqlite=sqlite, plan=plan)
        try:
            world.run()
        except Violation as violation:
            return world.report(str(violation))
        except Exception as error:  # noqa: BLE001 - a supervisor that raises anything has failed
            where = "".join(traceback.format_exception(error)[-6:])
            return world.report(f"error: {type(error).__name__}: {error}\n{where}")
        finally:
            for host in world.hosts:
                host.undoom()
                host.crash()
                clear(host.home.root)
        return world.report()
