"""Zygotes of a host, one per code base: which flows they can run, and with which code.

Asks them and keeps their answers. Which processes they fork, and what a job does when its code can't be
loaded, is the fleet's business.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import msgspec

from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.processes import Processes, ZygoteEnd
from sojourn.hosts.zygotes import Reception
from sojourn.runtime.engine.inputs import Now
from sojourn.runtime.errors import CodeNotLoadable
from sojourn.runtime.pool import PoolKey
from sojourn.runtime.wire.zygote import Check, Fork, Inspect, Inspected, LoadFailed

IDLE_SECONDS = 60.0
"""How long a zygote is kept that nobody uses."""

CODE = "code:"
"""Prefix of the store's notes of code fingerprints."""


class Question(msgspec.Struct):
    """A request that a zygote hasn't answered.

    Attributes:
        digest: flow that is checked, or forked for.
        ticket: what the asking part is told with the answer; None for the fleet's own.
        pool: pool that a process is forked for.
        process: its name.
        by_routine: whether the files of each routine are asked for.
        also: tickets of those who asked the same meanwhile.
        locator: of a flow that is looked for.
    """

    digest: str
    ticket: object = None
    pool: PoolKey | None = None
    process: str = ""
    by_routine: bool = False
    also: list[object] = []
    locator: str = ""

    def answers(self, inspected: Inspected | None, failed: LoadFailed | None) -> list[LoadAnswer]:
        """Give the answers for all who asked."""
        tickets = [] if self.ticket is None else [self.ticket, *self.also]
        return [LoadAnswer(ticket, inspected, failed) for ticket in tickets]


class LoadAnswer(msgspec.Struct):
    """A question about code was answered: one of the two is given."""

    ticket: object
    inspected: Inspected | None
    failed: LoadFailed | None


class CodeBase:
    """One zygote and the flows that it has checked."""

    def __init__(self, zygote: ZygoteEnd, modules: tuple[str, ...]) -> None:
        self.zygote = zygote
        self.modules = modules
        """What it was made for; empty once it is retired."""
        self.asked: dict[int, Question] = {}
        self.checked: dict[str, Inspected] = {}
        self.files: dict[tuple[str, str], None] = {}
        """(path relative to its root, sha256 hex) of every file that one of them loaded, once."""
        self.detailed: dict[str, Inspected] = {}
        """Flow digest → the same with the files of each routine, where they were asked for."""
        self.located: dict[str, Inspected] = {}
        """Locator → the flow that was found there. A zygote imports a module once."""
        self.failed: dict[str, str] = {}
        """Flow digest → why it can't be run here."""
        self.checking: set[str] = set()
        self.used = 0.0
        self.current_at: Now | None = None
        """Begin of the round in which its files were last seen to be as it imported them."""
        self.forks = True
        """Whether its actor processes are forks of it, as far as is known."""

    def note(self, digest: str, inspected: Inspected) -> None:
        """Note that a flow can be run, and from which files."""
        if digest not in self.checked:
            self.detailed.clear()  # it may have loaded files that others import, too
        self.checked[digest] = inspected
        self.files.update(dict.fromkeys(inspected.files))
        self.failed.pop(digest, None)


class CodeBases:
    """All zygotes.

    Args:
        core: shared state.
        processes: starts them.
    """

    def __init__(self, core: Core, processes: Processes) -> None:
        self._core = core
        self._processes = processes
        self._bases: list[CodeBase] = []
        self._next_request = 1
        self._codes = {
            name.removeprefix(CODE): value
            for name, value in core.store.meta().items() if name.startswith(CODE)
        }
        """Flow digest → code fingerprint that its jobs ran under last."""
        self.answers: list[LoadAnswer] = []
        """Answers to tickets, for whoever asked."""
        self.retired: list[CodeBase] = []
        """Code bases whose processes shall end after their turns."""

    def __iter__(self) -> Iterator[CodeBase]:
        return iter(list(self._bases))

    # --- asking -----------------------------------------------------------------------------------

    def inspect(self, locator: str, ticket: object) -> None:
        """Ask for the flow ``MODULE:ATTR``."""
        base = self._current((locator.partition(":")[0],))
        known = base.located.get(locator)
        if known is not None:
            self.answers.append(LoadAnswer(ticket, known, None))
            return
        question = Question("", ticket, locator=locator)
        self.ask(base, question, lambda number: Inspect(number, locator))

    def check(self, digest: str, flow: bytes, ticket: object) -> None:
        """Ask whether a flow can be run here."""
        base = self._current(self._core.plan(digest, flow).spec.modules)
        known = base.checked.get(digest)
        if known is not None:
            if ticket is not None:
                self.answers.append(LoadAnswer(ticket, known, None))
            return
        base.checking.add(digest)
        self.ask(base, Question(digest, ticket), lambda number: Check(number, flow))

    def detail(self, digest: str, flow: bytes, ticket: object, *, running: bool) -> None:
        """Ask for the code of a flow, by routine.

        Args:
            digest: of the flow.
            flow: encoded.
            ticket: comes with the answer.
            running: whether the code that runs is meant, though its files may have changed since.
        """
        base = self.serving(digest) if running else None
        if base is None:
            base = self._current(self._core.plan(digest, flow).spec.modules)
        known = base.detailed.get(digest)
        if known is not None:
            base.used = self._core.now.monotonic
            self.answers.append(LoadAnswer(ticket, known, None))
            return
        for asked in base.asked.values():
            if asked.by_routine and asked.digest == digest:
                asked.also.append(ticket)
                return
        base.checking.add(digest)
        self.ask(
            base, Question(digest, ticket, by_routine=True),
            lambda number: Check(number, flow, by_routine=True),
        )

    def ask(
        self, base: CodeBase, question: Question, make: Callable[[int], Inspect | Check | Fork]
    ) -> None:
        """Ask a zygote something; ``make`` gets the request's number."""
        number = self._next_request
        self._next_request += 1
        base.asked[number] = question
        base.zygote.send(make(number))

    def serving(self, digest: str) -> CodeBase | None:
        """Give the code base that runs a flow now, if there is one."""
        modules = self._core.plan(digest).spec.modules
        for base in reversed(self._bases):
            if base.modules == modules and not base.zygote.dead:
                return base
        return None

    def _current(self, modules: tuple[str, ...]) -> CodeBase:
        """Give a code base whose files on disk are still the ones that it imported."""
        core = self._core
        for base in reversed(self._bases):
            if base.modules != modules or base.zygote.dead:
                continue
            current = self._is_current(base)
            if current and not base.failed:
                base.used = core.now.monotonic
                return base
            core.log.info("importing anew", modules=list(modules), code_changed=not current)
            self._retire(base)
        options = core.options
        zygote = self._processes.start_zygote(
            python=options.python, paths=options.paths, allow=options.allow, modules=modules,
            alive_lock=core.home.alive_lock, import_timeout=options.import_timeout,
        )
        base = CodeBase(zygote, modules)
        base.used = core.now.monotonic
        self._bases.append(base)
        return base

    def _is_current(self, base: CodeBase) -> bool:
        """Whether the files of a code base are as they were imported; read once for all of a round."""
        if base.current_at != self._core.now:
            if not base.zygote.code_is_current(list(base.files)):
                return False
            base.current_at = self._core.now
        return True

    def _retire(self, base: CodeBase) -> None:
        base.modules = ()
        self.retired.append(base)

    # --- what is known ----------------------------------------------------------------------------

    def note_checked(self, digest: str, locator: str, inspected: Inspected) -> None:
        """Note that a flow found by its locator loads here, so that it needs no other check.

        That holds where its routines are all in the module of the locator: otherwise another zygote
        runs them, which loads other files.
        """
        modules = self._core.plan(digest).spec.modules
        if modules != (locator.partition(":")[0],):
            return
        if digest not in self._codes:
            self._note_code(digest, inspected.code)
        for base in self._bases:
            if base.modules == modules and not base.zygote.dead:
                base.note(digest, inspected)

    def clear_failures(self, digest: str) -> None:
        """Forget why a flow couldn't be run: someone says that the cause is mended."""
        for base in self._bases:
            if base.failed.pop(digest, None) is not None:
                base.used = 0.0
                self._retire(base)
        self._codes.pop(digest, None)

    def _note_code(self, digest: str, code: str) -> None:
        self._codes[digest] = code
        self._core.round.writes.meta_put[CODE + digest] = code

    # --- answers ----------------------------------------------------------------------------------

    def receive(self) -> list[tuple[CodeBase, Reception]]:
        """Take in what zygotes say, without waiting."""
        found: list[tuple[CodeBase, Reception]] = []
        for base in self._bases:
            base.zygote.expire(self._core.now.monotonic)
            found.extend((base, reception) for reception in base.zygote.receive())
        return found

    def _tell_of_forks(self, base: CodeBase, forks: bool) -> None:
        if base.forks and not forks:
            self._core.log.warning(
                "actor processes start as fresh interpreters, which takes longer than a fork",
                modules=list(base.modules),
                reason="threads run after the import: start them in `activate` instead",
            )
        base.forks = forks

    def inspected(self, base: CodeBase, message: Inspected) -> tuple[str, str] | None:
        """Take in that a flow loads; give (digest, reason) where it may not run all the same."""
        question = base.asked.pop(message.request, None)
        if question is None:
            return None
        self._tell_of_forks(base, message.forks)
        self.answers += question.answers(message, None)
        if question.locator:
            base.located[question.locator] = message
            base.files.update(dict.fromkeys(message.files))
        if not question.digest:
            return None
        digest = question.digest
        base.checking.discard(digest)
        known = self._codes.get(digest)
        if self._core.options.strict_code and known not in (None, message.code):
            base.failed[digest] = (
                f"the code of the flow changed on host {self._core.host!r} (it was {known}, it is "
                f"{message.code}), and --strict-code is set: `sojourn retry` goes on with the new one"
            )
            return digest, base.failed[digest]
        base.note(digest, message)
        if question.by_routine:
            base.detailed[digest] = message
        if known != message.code:
            self._note_code(digest, message.code)
        return None

    def load_failed(self, base: CodeBase, message: LoadFailed, *, died: bool) -> Question | None:
        """Take in that something doesn't load, or that its zygote died; give what was asked."""
        question = base.asked.pop(message.request, None)
        if question is None:
            return None
        self.answers += question.answers(None, message)
        if question.digest and question.pool is None:
            base.checking.discard(question.digest)
            base.detailed.pop(question.digest, None)
            if not died:
                base.failed[question.digest] = message.message
        return question

    def lost(self, base: CodeBase) -> None:
        """A zygote died: answer what it was asked and let it go."""
        self._bases.remove(base)
        for question in base.asked.values():
            if question.ticket is not None:
                failed = LoadFailed(
                    0, CodeNotLoadable.__name__,
                    f"the process that imports {', '.join(base.modules)} on host "
                    f"{self._core.host!r} died: see {self._core.home.log_file}",
                )
                self.answers += question.answers(None, failed)
        base.zygote.close()

    # --- ends -------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Give the monotonic time at which an answer is late."""
        times = [base.zygote.deadline for base in self._bases]
        return min((time for time in times if time is not None), default=None)

    def stop_idle(self, in_use: Callable[[CodeBase], bool]) -> float:
        """End zygotes that nobody has used for a while; give when the next would be (monotonic)."""
        ends = [math.inf]
        for base in list(self._bases):
            if base.asked or in_use(base):
                continue
            end = base.used + IDLE_SECONDS
            if self._core.now.monotonic < end:
                ends.append(end)
            else:
                base.zygote.close()
                self._bases.remove(base)
        return min(ends)

    def close(self) -> None:
        """End every zygote."""
        for base in self._bases:
            base.zygote.close()
        self._bases.clear()
