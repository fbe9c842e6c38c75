"""Options that every command has, and the line to the supervisor that most need."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from sojourn.hosts.cli.main import INTERRUPTED
from sojourn.hosts.connection import Body, Connection
from sojourn.hosts.home import Home
from sojourn.runtime.errors import UsageError, ValueMalformed
from sojourn.runtime.values_json import fields_from_json
from sojourn.runtime.wire.client import Command, Jobs

F = TypeVar("F", bound=Callable[..., Any])


class Settings(msgspec.Struct):
    """The options of every command."""

    home: str | None
    host: str | None
    json: bool

    def connect(self) -> Connection:
        """Open the line to the home's supervisor."""
        return Connection(Home.choose(self.home), host=self.host)

    def ask(
        self, command: Command, *, on_progress: Callable[[Body], None] | None = None
    ) -> Body:
        """Ask the supervisor for one thing."""
        connection = self.connect()
        try:
            return connection.request(command, on_progress=on_progress)
        finally:
            connection.close()

    def watch(
        self, command: Command, job: str, *, on_progress: Callable[[Body], None] | None = None
    ) -> Body:
        """The same for something long: Ctrl-C ends the watching only."""
        try:
            return self.ask(command, on_progress=on_progress)
        except KeyboardInterrupt:
            interrupted(self, job)

    def print(self, body: Any, text: str | Callable[[], str]) -> None:
        """Print data: JSON for machines, else text."""
        if self.json:
            click.echo(json.dumps(body, indent=2))
        else:
            shown = text if isinstance(text, str) else text()
            if shown:
                click.echo(shown)


def interrupted(settings: Settings, job: str) -> NoReturn:
    """Say that the work goes on, and exit with 130."""
    home = Home.choose(settings.home).root
    where = f"host {settings.host!r}" if settings.host else f"the supervisor of {home}"
    click.echo(
        f"interrupted: job {job} goes on at {where}; `sojourn wait {job}` follows it again", err=True
    )
    raise click.exceptions.Exit(INTERRUPTED)


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
    decorated = click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), default="table",
        envvar="SOJOURN_OUTPUT", show_envvar=True, help="For people or for machines.",
    )(decorated)
    return decorated  # type: ignore[no-any-return]


def complete_job(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete a job's id from what a running supervisor knows; silent where none answers."""
    try:
        home = ctx.params.get("home")
        connection = Connection(Home.choose(home))
        try:
            found = connection.request(Jobs(), timeout=1.0)["jobs"]
        finally:
            connection.close()
    except Exception:  # noqa: BLE001 - a completion must never disturb the prompt
        return []
    return [job["job_id"] for job in found if job["job_id"].startswith(incomplete)]


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
    except ValueError as error:
        raise UsageError(
            f"{what} is no JSON ({error}): write an object like '{{\"url\": \"…\"}}'"
        ) from None
    if not isinstance(parsed, dict):
        raise UsageError(f"{what} must be a JSON object of named fields, like '{{\"url\": \"…\"}}'")
    try:
        return fields_from_json(parsed, where=what)  # pyright: ignore[reportUnknownArgumentType]
    except ValueMalformed as error:
        raise UsageError(error.message) from None


def read_seconds(
    _ctx: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    """Check a number of seconds."""
    if value is not None and (value < 0 or not math.isfinite(value)):
        raise click.BadParameter("must be a number of seconds from 0", param=parameter)
    return value
