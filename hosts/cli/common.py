"""Options that every command has, and the line to the supervisor that most need."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import click
import msgspec

from sojourn.hosts.cli.main import INTERRUPTED
from sojourn.hosts.cli.progress import waiting_shown
from sojourn.hosts.connection import Body, Connection
from sojourn.hosts.home import Home
from sojourn.runtime.errors import UsageError, WorkFailed
from sojourn.runtime.job import PRIORITIES
from sojourn.runtime.roles import Role
from sojourn.runtime.values_json import fields_from_json
from sojourn.runtime.wire.client import LONGEST_SECONDS, Command, Jobs, Logs, Peers, Submit, Wait

F = TypeVar("F", bound=Callable[..., Any])

COMPLETION_TIMEOUT = 1.0
"""Seconds that a completion waits for a supervisor."""

EXAMPLE = """'{"url": "https://example.org"}'"""


class Settings(msgspec.Struct):
    """The options of every command."""

    home: str | None
    host: str | None
    json: bool

    def connect(self) -> Connection:
        """Open the line to the home's supervisor."""
        return Connection(Home.choose(self.home), host=self.host)

    def ask(
        self,
        command: Command,
        *,
        job: str | None = None,
        on_progress: Callable[[Body], None] | None = None,
        goes_on: Callable[[], str] | None = None,
    ) -> Body:
        """Ask the supervisor for one thing. Ctrl-C ends the watching only, and says so.

        Args:
            command: what.
            job: the job that it is about, for that sentence.
            on_progress: gets the news meanwhile.
            goes_on: gives that sentence instead, where it isn't about one job.
        """
        connection = self.connect()
        verb = type(command).__name__.lower()
        # whoever gets news shows them; those of a submit come only where it has to wait
        shown = waiting_shown(
            f"{verb} {job or ''}: waiting for {self._where()}; Ctrl-C ends the watching only"
        ) if on_progress is None or isinstance(command, Submit) else nullcontext()
        try:
            with shown:
                return connection.request(command, on_progress=on_progress)
        except KeyboardInterrupt:
            if goes_on is not None:
                click.echo(f"interrupted: {goes_on()}", err=True)
                raise click.exceptions.Exit(INTERRUPTED) from None
            raise self.interrupted(job, acting=not isinstance(command, Wait | Logs)) from None
        finally:
            connection.close()

    def _where(self) -> str:
        return f"host {self.host!r}" if self.host else f"the supervisor of {Home.choose(self.home).root}"

    def interrupted(self, job: str | None, *, acting: bool) -> click.exceptions.Exit:
        """Say that the work goes on and where; give what ends the command with 130."""
        if job is None:
            goes_on = f"what was asked for goes on at {self._where()}; `sojourn jobs` shows what came of it"
        elif acting:
            goes_on = (
                f"what was asked of job {job} goes on at {self._where()}; `sojourn show {job}` shows what "
                "came of it"
            )
        else:
            goes_on = f"job {job} goes on at {self._where()}; `sojourn wait {job}` follows it again"
        click.echo(f"interrupted: {goes_on}", err=True)
        return click.exceptions.Exit(INTERRUPTED)

    def only_here(self, command: str) -> None:
        """Refuse ``--host`` where nobody could relay; what the environment says is for other commands.

        Args:
            command: what can only be done on this host.

        Raises:
            UsageError: if it was given.
        """
        source = click.get_current_context().get_parameter_source("host")
        if source is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"`sojourn {command}` runs on this host only: type it on host {self.host!r}")

    def print(self, body: Any, text: str | Callable[[], str]) -> None:
        """Print data: JSON for machines, else text."""
        if self.json:
            click.echo(json.dumps(body, indent=2))
        else:
            shown = text if isinstance(text, str) else text()
            if shown:
                click.echo(shown)


def with_settings(function: F) -> F:
    """Add the options of every command; the function gets ``settings``."""

    def gather(home: str | None, host: str | None, output: str, **rest: Any) -> Any:
        return function(settings=Settings(home, host, output == "json"), **rest)

    gather.__name__ = function.__name__
    gather.__doc__ = function.__doc__
    gather.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]
    decorated: Any = click.option(
        "--home", metavar="DIR", envvar="SOJOURN_HOME", show_envvar=True,
        help="The supervisor's home directory.  [default: ~/.sojourn]",
    )(gather)
    decorated = click.option(
        "--host", metavar="NAME", envvar="SOJOURN_HOST", show_envvar=True,
        help="The paired host that shall do it.",
    )(decorated)
    decorate: Any = click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), default="table",
        envvar="SOJOURN_OUTPUT", show_envvar=True, help="For people or for machines.",
    )
    return decorate(decorated)  # type: ignore[no-any-return]


def priority_option(function: F) -> F:
    """Add ``--priority``."""
    decorate: Any = click.option(
        "--priority", type=click.IntRange(PRIORITIES.start, PRIORITIES.stop - 1), default=0, metavar="N",
        help="From -3 to 3; jobs of the same flow with a higher one go first.  [default: 0]",
    )
    return decorate(function)  # type: ignore[no-any-return]


def queue_news() -> Callable[[Body], None]:
    """Give what says on stderr that a submit has to wait, the first time that it is told."""
    said: list[str] = []

    def show(body: Body) -> None:
        if not said:
            said.append(body["waiting"])
            click.echo(body["waiting"], err=True)

    return show


def complete_job(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete a job's id from what a running supervisor knows; silent where none answers."""
    names = [job["job_id"] for job in _known(ctx, Jobs(), "jobs")]
    return [name for name in names if name.startswith(incomplete)]


def complete_host(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete a paired host's name, likewise."""
    names = [peer["name"] for peer in _known(ctx, Peers(), "peers")]
    return [name for name in names if name.startswith(incomplete)]


def _known(ctx: click.Context, command: Command, key: str) -> list[Body]:
    try:
        connection = Connection(Home.choose(ctx.params.get("home")), host=ctx.params.get("host"))
        try:
            found: list[Body] = connection.request(command, timeout=COMPLETION_TIMEOUT)[key]
        finally:
            connection.close()
    except Exception:  # noqa: BLE001 - a completion must never disturb the prompt
        return []
    return found


def role_option(text: str) -> Callable[[F], F]:
    """Add the option --role; the function gets ``role``, None where it wasn't given.

    Args:
        text: whose role it is.
    """
    return click.option(  # type: ignore[no-any-return, unused-ignore]
        "--role", type=click.Choice([role.value for role in Role]), default=None,
        callback=_read_role, help=text,
    )


def _read_role(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> Role | None:
    return None if value is None else Role(value)


def job_argument(function: F) -> F:
    """Add the argument JOB."""
    decorate: Any = click.argument("job", metavar="JOB", shell_complete=complete_job)
    return decorate(function)  # type: ignore[no-any-return]


def read_input(text: str | None, what: str = "--input") -> bytes:
    """Read a JSON object as encoded fields.

    Raises:
        UsageError: with the position of what isn't JSON.
    """
    if text is None:
        return fields_from_json({}, where=what)
    try:
        parsed: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{what} is no JSON ({error}): write an object like {EXAMPLE}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{what} can't be read ({error}): write an object like {EXAMPLE}") from None
    if not isinstance(parsed, dict):
        raise UsageError(f"{what} must be a JSON object of named fields: write one like {EXAMPLE}")
    return fields_from_json(parsed, where=what)  # pyright: ignore[reportUnknownArgumentType]


def read_seconds(
    _ctx: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    """Check a number of seconds."""
    return _within(value, "seconds", LONGEST_SECONDS, parameter)


def read_milliseconds(
    _ctx: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    """Check a number of milliseconds."""
    return _within(value, "milliseconds", LONGEST_SECONDS * 1000, parameter)


def _within(
    value: float | None, unit: str, most: float, parameter: click.Parameter
) -> float | None:
    if value is not None and not 0 <= value <= most:  # nan isn't either
        what = f"must be a number of {unit}, 0 or more, a century at most"
        raise click.BadParameter(what, param=parameter)
    return value


def check_completed(document: Body) -> None:
    """See that a job that ended did what it was for.

    Raises:
        WorkFailed: if it failed or was cancelled.
    """
    if document["status"] == "completed":
        return
    error = document["error"]
    why = f": {error['type']}: {error['message']}" if error else ""
    raise WorkFailed(
        f"job {document['job_id']} {document['status']} on host {document['host']!r}{why}; "
        f"`sojourn show {document['job_id']}` tells more"
    )
