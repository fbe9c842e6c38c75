"""Where clients' commands arrive: check, let the engine act, answer once it is on disk.

One method per command. A command of a job that is being handed over is held or relayed as section 7
of the design says; one that comes twice under the same id is answered twice and done once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from sojourn.hosts.supervisor.acting import Acting
from sojourn.hosts.supervisor.core import Asker, Core, ToAsker
from sojourn.hosts.supervisor.errands import ERRAND, Errands
from sojourn.hosts.supervisor.fleet import Fleet
from sojourn.hosts.supervisor.pairing import Pairing
from sojourn.hosts.supervisor.papers import document, exported, summary
from sojourn.hosts.supervisor.permits import OF_A_JOB, Permits
from sojourn.hosts.supervisor.reading_logs import LogWatch, ReadingLogs
from sojourn.hosts.supervisor.resolving import Resolving
from sojourn.hosts.supervisor.submissions import Submissions
from sojourn.hosts.supervisor.watching import Watch, Watching
from sojourn.hosts.supervisor.whereabouts import Whereabouts
from sojourn.runtime.commands import cordoned
from sojourn.runtime.conditions import Condition, parse
from sojourn.runtime.engine.inputs import (
    Round,
)
from sojourn.runtime.errors import (
    JobUnreadable,
    NotFound,
    ProtocolViolation,
    Refused,
    SojournError,
    from_wire,
    to_wire,
)
from sojourn.runtime.job import JobHead, Ownership
from sojourn.runtime.wire.client import (
    Answer,
    Cancel,
    Command,
    Down,
    DryRun,
    Export,
    Failure,
    Forget,
    Handoffs,
    Import,
    Invite,
    Jobs,
    Join,
    Logs,
    Migrate,
    Pause,
    Peers,
    Progress,
    Reply,
    Request,
    Resolve,
    Resume,
    Retry,
    Revoke,
    SetRole,
    Show,
    Status,
    Submit,
    Wait,
    decode_waited,
    encode_body,
)
from sojourn.runtime.wire.whole_hosts import Drain, MigrateMany

DONE_ONCE = (Submit, Pause, Resume, Cancel, Retry, Forget, Migrate, Export, Import, Resolve,
             MigrateMany, Drain, SetRole, Revoke)
"""Commands whose repetition under the same id must not act again."""

C = TypeVar("C")

PART = "#part"
"""Peer name of the inner asker for one job of a wait for several."""



class Border(Protocol):
    """What the desk needs of the part that speaks with peers."""

    def relay(self, host: str, asker: Asker, request: Request, *, job: str | None = None) -> None:
        """Let another host do it, since ``job`` is there; its answers go to the asker."""
        ...

    def gone(self, asker: Asker) -> None:
        """Someone who asked went away: what others do for him needs no following."""
        ...

    @property
    def pairing(self) -> Pairing: ...  # noqa: D102 - who is paired, and as what
    @property
    def permits(self) -> Permits: ...  # noqa: D102 - what those may do
    def peers_body(self) -> dict[str, Any]: ...  # noqa: D102 - named after the command
    def address(self) -> str | None: ...  # noqa: D102


class Moves(Protocol):
    """What the desk needs of the part that carries hand-offs out."""

    def migrate(self, asker: Asker, row: int, command: Migrate | DryRun) -> None: ...  # noqa: D102
    def release_to_file(self, asker: Asker, row: int, command: Export) -> None: ...  # noqa: D102
    def take_file(self, asker: Asker, command: Import) -> None: ...  # noqa: D102

    def abort_for(self, row: int, reason: str) -> bool:
        """Abort the hand-off of a job; False where it is past its commit point."""
        ...

    def under_way(self, row: int) -> bool:
        """Whether a hand-off of the job is under way, the pre-copy included."""
        ...

    def describe(self) -> list[dict[str, Any]]: ...  # noqa: D102


class Desk:
    """The commands of clients.

    Args:
        core: shared state.
        fleet: asked about code.
    """

    def __init__(self, core: Core, fleet: Fleet) -> None:
        self._core = core
        self._fleet = fleet
        self.border: Border | None = None
        self.moves: Moves | None = None
        self.resolving: Resolving | None = None
        self.whereabouts: Whereabouts | None = None
        self.watching = Watching(core, self._follow)
        self.reading_logs = ReadingLogs(core, self._follow)
        self.submissions = Submissions(core, fleet.code, self)
        self.acting = Acting(core, fleet, self)
        self.errands = Errands(self.handle, core.new_id)
        self._leaving: list[Callable[[Asker], None]] = []
        self._held: dict[int, list[tuple[Asker, Request]]] = {}
        self._commands: dict[Asker, str] = {}
        self._working: dict[str, Asker] = {}
        self._parts: dict[int, tuple[Watch, int]] = {}
        self._next_part = 1
        self._handlers: dict[type, Callable[[Asker, Any], None]] = {
            Submit: self.submissions.submit, Jobs: self._jobs, Show: self._show, Wait: self._wait,
            Logs: self._logs, Pause: self.acting.pause, Resume: self.acting.resume,
            Cancel: self.acting.cancel, Retry: self.acting.retry, Forget: self.acting.forget,
            Migrate: self._migrate, DryRun: self._migrate, Export: self._export, Import: self._import,
            Handoffs: self._handoffs, Resolve: self._resolve,
            Invite: self._invite, Join: self._join, Peers: self._peers, SetRole: self._set_role,
            Revoke: self._revoke, Status: self._status, Down: self._down,
        }

    def serve(self, command: type[C], do: Callable[[Asker, C], None]) -> None:
        """Let another part do a kind of command."""
        self._handlers[command] = do

    def also_gone(self, drop: Callable[[Asker], None]) -> None:
        """Have another part told when someone who asked went away."""
        self._leaving.append(drop)

    # --- in and out -----------------------------------------------------------------------------

    def handle(self, asker: Asker, request: Request) -> None:
        """Do what a client asks, or a peer for one, as far as its role goes."""
        try:
            self._check(asker, request)
            if request.host not in (None, self._core.host):
                self.relay(str(request.host), asker, request)
                return
            repeatable = isinstance(request.command, DONE_ONCE) and asker.peer != ERRAND
            if repeatable and self._seen(asker, request.command_id):
                return
            self._dispatch(asker, request)
        except SojournError as error:
            self.fail(asker, error)

    def _check(self, asker: Asker, request: Request) -> None:
        if self.border is not None:
            self.border.permits.check(asker, request)

    def _dispatch(self, asker: Asker, request: Request) -> None:
        command = request.command
        if isinstance(command, OF_A_JOB) and self._elsewhere(asker, request, command.job):
            return
        self._handlers[type(command)](asker, command)

    def _seen(self, asker: Asker, command_id: str) -> bool:
        """Answer a command that was done before, or is being done."""
        kept = self._core.store.command_reply(command_id)
        if kept is not None:
            answer: Reply | Failure = msgspec.msgpack.decode(kept, type=Reply | Failure)
            answer.request = asker.request
            self._core.send(ToAsker(asker, answer))
            return True
        if command_id in self._working:
            self._working[command_id] = asker
            return True
        self._working[command_id] = asker
        self._commands[asker] = command_id
        return False

    def answer(self, asker: Asker, answer: Answer) -> None:
        """Send an answer with the next commit; the last one of a command is remembered."""
        command_id = self._commands.pop(asker, None)
        if command_id is not None and isinstance(answer, (Reply, Failure)):
            kept = msgspec.msgpack.encode(answer)
            self._core.round.writes.commands_put.append((command_id, kept, self._core.now.wall))
        self._core.send(self._addressed(asker, command_id, answer))

    def _addressed(self, asker: Asker, command_id: str | None, answer: Answer) -> ToAsker:
        """Address an answer to whoever asked for the command last: he may have had to ask again."""
        if command_id is not None:
            asker = self._working.pop(command_id, asker)
        answer.request = asker.request
        return ToAsker(asker, answer)

    def reply(self, asker: Asker, body: dict[str, Any]) -> None:
        """Answer that a command was done."""
        self.answer(asker, Reply(asker.request, encode_body(body)))

    def fail(self, asker: Asker, error: SojournError) -> None:
        """Answer that it wasn't. A refusal is not remembered: the same command may succeed later."""
        command_id = self._commands.pop(asker, None)
        failure = Failure(asker.request, *to_wire(error))
        self._core.send(self._addressed(asker, command_id, failure))

    def gone(self, asker: Asker) -> None:
        """Stop following for someone who went away; all goes on but a submit that waits for room."""
        self.watching.drop(asker)
        self.reading_logs.drop(asker)
        self.submissions.gone(asker)
        if self.border is not None:
            self.border.gone(asker)
        for drop in self._leaving:
            drop(asker)

    # --- jobs that are elsewhere or on their way ---------------------------------------------------

    def _elsewhere(self, asker: Asker, request: Request, name: str) -> bool:
        """Relay or hold a command of a job that isn't simply here; False if it is."""
        core = self._core
        row, head = core.find(name)
        if head.ownership is Ownership.FORGOTTEN and head.moved_to is None:
            raise NotFound(
                f"job {head.job_id} was forgotten on host {core.host!r}: only its id is kept"
            )
        if head.ownership is Ownership.GONE or (
            head.ownership is Ownership.FORGOTTEN and head.moved_to is not None
        ):
            if isinstance(request.command, Forget) and head.ownership is Ownership.GONE:
                return False
            self._relay_to_owner(head, asker, request)
            return True
        if row in core.unreadable:
            raise JobUnreadable(core.unreadable[row])
        if row in core.withheld:
            raise Refused(
                f"job {head.job_id} isn't run on host {core.host!r} yet, so nothing can be done with it: "
                f"{core.withheld[row]}"
            )
        if row not in core.moving and head.ownership is Ownership.OWNED:
            return False
        if isinstance(request.command, (Migrate, DryRun, Export)):
            if isinstance(request.command, Export) and request.command.release_to is None:
                return False
            raise Refused(
                f"job {head.job_id} is being handed over already by host {core.host!r}: "
                f"`sojourn wait {head.job_id}` follows it"
            )
        if isinstance(request.command, Cancel) and self._moves().abort_for(row, "cancelled"):
            return False
        self._held.setdefault(row, []).append((asker, request))
        core.log.info("command held", job=head.job_id, command=type(request.command).__name__)
        return True

    def release_held(self, row: int) -> None:
        """Do the commands that waited for the end of a hand-off, here or at the new owner."""
        for asker, request in self._held.pop(row, []):
            try:
                self._check(asker, request)  # a role may have been taken meanwhile
                self._dispatch(asker, request)
            except SojournError as error:
                self.fail(asker, error)

    def _relay_to_owner(self, head: JobHead, asker: Asker, request: Request) -> None:
        """Let the host that a job went to do a command; where that is down, find one that knows more.

        Raises:
            NoSupervisor: if this host knows no other.
        """
        if self.whereabouts is None:
            raise NotFound(f"host {self._core.host!r} has no peers: pair it with `sojourn join`")
        known = self.whereabouts.known(head)
        if known is not None:
            self.relay(known, asker, request, job=head.job_id)
            return
        unreachable = self.whereabouts.unreachable(head)

        def found(host: str | None) -> None:
            try:
                if host is None:
                    raise unreachable
                self.relay(host, asker, request, job=head.job_id)
            except SojournError as error:
                self.fail(asker, error)

        self.whereabouts.find(head, found)

    def find_owner(self, job: str, then: Callable[[str | None], None]) -> None:
        """Ask every host that can be reached for a job that went away from here."""
        known = self._core.head(job)
        if known is not None and self.whereabouts is not None:
            self.whereabouts.find(known[1], then)

    def relay(self, host: str, asker: Asker, request: Request, *, job: str | None = None) -> None:
        """Let another host do a command, and remember it as that host's.

        Args:
            host: which.
            asker: who asked.
            request: what.
            job: the job for whose sake it is that host; None where the host was named.
        """
        if self.border is None:
            raise NotFound(f"host {self._core.host!r} has no peers: pair it with `sojourn join`")
        command_id = self._commands.pop(asker, None)
        if command_id is not None:
            asker = self._working.pop(command_id, asker)
            request = msgspec.structs.replace(request, request=asker.request)
        self.border.relay(host, asker, msgspec.structs.replace(request, host=None), job=job)

    def _follow(self, watch: Watch | LogWatch, row: int) -> None:
        """A watched job moved away: go on watching where it is."""
        try:
            self._follow_to_owner(watch, row)
        except SojournError as error:
            self.watching.drop(watch.asker)
            self.reading_logs.drop(watch.asker)
            self.fail(watch.asker, error)

    def _follow_to_owner(self, watch: Watch | LogWatch, row: int) -> None:
        head = self._core.store.head(row)
        if head is None or head.moved_to is None or self.border is None:
            return
        if isinstance(watch, LogWatch) or len(watch.rows) == 1:
            self.watching.drop(watch.asker)
            if isinstance(watch, LogWatch):
                command: Command = Logs(head.job_id, True, watch.after)
            else:
                left = None
                if watch.deadline is not None:
                    left = max(0.0, watch.deadline - self._core.now.monotonic)
                until = watch.condition.text if watch.condition is not None else None
                command = Wait([head.job_id], until, left, watch.follow)
            self._relay_to_owner(
                head, watch.asker, Request(watch.asker.request, self._core.new_id(), None, command)
            )
            return
        asker = Asker(b"", PART, self._next_part, watch.asker.request)
        self._parts[self._next_part] = (watch, row)
        self._next_part += 1
        until = watch.condition.text if watch.condition is not None else None
        self._relay_to_owner(
            head, asker,
            Request(asker.request, self._core.new_id(), None, Wait([head.job_id], until, None, False)),
        )

    def part_answered(self, number: int, answer: Answer) -> None:
        """Take in what another host says of one job of a wait for several."""
        if isinstance(answer, Progress):
            return
        found = self._parts.pop(number, None)
        if found is None:
            return
        watch, row = found
        if isinstance(answer, Failure):
            self.watching.fail(watch, from_wire(answer.kind, answer.message))
            return
        try:
            waited = decode_waited(answer.body)
        except msgspec.DecodeError as error:
            self.watching.fail(watch, ProtocolViolation(f"another host's answer is none: {error}"))
            return
        found_there = encode_body(waited.jobs[0] if waited.jobs else {})
        self.watching.settle(watch, row, found_there, held=waited.held)

    def _moves(self) -> Moves:
        if self.moves is None:
            raise NotFound(f"host {self._core.host!r} has no peers: pair it with `sojourn join`")
        return self.moves

    def stop_move(self, row: int) -> None:
        """Abort the hand-off of a job that is to be cancelled, if one is under way."""
        if self.moves is not None and self.moves.under_way(row):
            self.moves.abort_for(row, "the job was cancelled")

    def arriving(self, job_id: str) -> bool:
        """Whether a job of this id is being handed over to this host."""
        return self.moves is not None and any(
            entry["job_id"] == job_id and entry["role"] == "target" for entry in self.moves.describe()
        )

    # --- looking --------------------------------------------------------------------------------

    def _jobs(self, asker: Asker, _command: Jobs) -> None:
        core = self._core
        found = [summary(core, row, head) for row, head in core.store.heads()]
        self.reply(asker, {"jobs": found, "host": core.host, "cordoned": core.cordoned})

    def _show(self, asker: Asker, command: Show) -> None:
        row, head = self._core.find(command.job)
        away = head.ownership in (Ownership.GONE, Ownership.FORGOTTEN) and head.moved_to is not None
        if command.follow and away:
            self._relay_to_owner(head, asker, Request(asker.request, self._core.new_id(), None, command))
            return
        if head.ownership is Ownership.FORGOTTEN:
            where = f": it is on host {head.moved_to!r}" if head.moved_to else ""
            raise NotFound(f"job {head.job_id} was forgotten on host {self._core.host!r}{where}")
        self.reply(
            asker,
            document(
                self._core, row, history=command.history, after=command.after,
                pending=command.pending,
            ),
        )

    def _wait(self, asker: Asker, command: Wait) -> None:
        condition = None if command.until is None else parse(command.until)
        rows, over = self._core.owned_rows(command.jobs)
        if condition is not None:
            for row in rows:
                self._check_condition(condition, row)
        deadline = None
        if command.timeout is not None:
            deadline = self._core.now.monotonic + command.timeout
        watched = set(rows)
        self.watching.wait(Watch(
            asker, rows, repeats=len(watched) < len(rows), open=watched, over=over,
            condition=condition, deadline=deadline, follow=command.follow,
        ))

    def _check_condition(self, condition: Condition, row: int) -> None:
        head = self._core.store.head(row)
        if head is None:
            return
        plan = self._core.plan(head.flow_digest)
        for routine in condition.routines:
            if routine not in plan.routines:
                raise NotFound(
                    f"flow {head.flow_id!r} of job {head.job_id} has no routine {routine!r} "
                    f"(it has {', '.join(plan.routines)})"
                )

    def _logs(self, asker: Asker, command: Logs) -> None:
        row, head = self._core.owned(command.job)
        if head.ownership in (Ownership.GONE, Ownership.FORGOTTEN) and head.moved_to:
            self._relay_to_owner(head, asker, Request(asker.request, self._core.new_id(), None, command))
            return
        self.reading_logs.read(LogWatch(asker, row, command.after), follow=command.follow)

    def before_commit(self, round_: Round) -> None:
        """Keep what those who wait are still to be told of jobs that are about to change."""
        self.watching.before_commit(round_)

    def after_commit(self, committed: Round) -> None:
        """Answer those whose job has fallen quiet, and all who watch."""
        self.submissions.after_commit()
        self.acting.after_commit(committed)
        self.watching.after_commit(committed)
        self.reading_logs.after_commit(committed)

    @property
    def unfinished(self) -> bool:
        """Whether something is to be sent that needs no other occasion than a further round."""
        return self.watching.deliveries.under_way

    # --- moving ---------------------------------------------------------------------------------

    def _migrate(self, asker: Asker, command: Migrate | DryRun) -> None:
        row, head = self.acting.live(command.job, "move")
        self.acting.check_not_cancelling(head)
        self.acting.check_not_contested(head)
        moves = self._moves()
        if moves.under_way(row):
            raise Refused(
                f"job {head.job_id} is being handed over already by host {self._core.host!r}"
            )
        moves.migrate(asker, row, command)

    def _export(self, asker: Asker, command: Export) -> None:
        row, head = self._core.find(command.job)
        if command.release_to is not None:
            self.acting.check_not_cancelling(head)
            self._moves().release_to_file(asker, row, command)
            return
        self.reply(asker, {"document": exported(self._core, self._core.store.read_image(row))})

    def _import(self, asker: Asker, command: Import) -> None:
        if self._core.cordoned:
            raise Refused(cordoned(self._core.host))
        self._moves().take_file(asker, command)

    def _handoffs(self, asker: Asker, command: Handoffs) -> None:
        self.reply(asker, self._resolving().listed(command.job))

    def _resolve(self, asker: Asker, command: Resolve) -> None:
        self._resolving().resolve(asker, command)

    def _resolving(self) -> Resolving:
        if self.resolving is None:
            raise Refused(f"host {self._core.host!r} speaks with no peers")
        return self.resolving

    # --- the host -------------------------------------------------------------------------------

    def _border(self) -> Border:
        if self.border is None:
            raise Refused(f"host {self._core.host!r} speaks with no peers")
        return self.border

    def _invite(self, asker: Asker, command: Invite) -> None:
        self._border().pairing.invite(asker, command)

    def _join(self, asker: Asker, command: Join) -> None:
        self._border().pairing.join(asker, command)

    def _set_role(self, asker: Asker, command: SetRole) -> None:
        self._border().pairing.set_role(asker, command)

    def _revoke(self, asker: Asker, command: Revoke) -> None:
        self._border().pairing.revoke(asker, command)

    def _peers(self, asker: Asker, _command: Peers) -> None:
        self.reply(asker, self._border().peers_body())

    def _status(self, asker: Asker, _command: Status) -> None:
        from os import getpid  # noqa: PLC0415

        from sojourn import __version__  # noqa: PLC0415 - read from the installation: slow, seldom asked

        core = self._core
        self.reply(
            asker,
            {
                "host": core.host,
                "store_id": core.store.store_id,
                "incarnation": core.store.incarnation,
                "pid": getpid(),
                "version": __version__,
                "listen": self.border.address() if self.border is not None else None,
                "home": str(core.home.root),
                "cordoned": core.cordoned,
                "messages": core.engine.book.describe(),
                "processes": self._fleet.describe(),
                "handoffs": self.moves.describe() if self.moves is not None else [],
            },
        )

    def _down(self, asker: Asker, _command: Down) -> None:
        self._core.stopping = True
        self.reply(asker, {})
