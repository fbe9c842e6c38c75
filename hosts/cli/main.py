"""The root of the command line: options for every command, errors as sentences and exit codes."""

from __future__ import annotations

import difflib
import json
import os
import sys
from importlib import import_module
from itertools import pairwise
from typing import Any

import click

from sojourn.runtime.errors import HostUnable, SojournError, UsageError

INTERRUPTED = 130
COMMANDS = {
    "cancel": "acting", "completion": "completion", "cordon": "cordon", "demo": "demo", "down": "down",
    "drain": "drain",
    "export": "export", "forget": "acting", "handoff": "handoff", "import": "import_",
    "invite": "invite", "jobs": "jobs",
    "join": "join", "logs": "logs", "migrate": "migrate", "pause": "acting", "peers": "peers",
    "resume": "resume", "retry": "acting", "run": "run", "show": "show", "submit": "submit",
    "uncordon": "cordon", "up": "up", "wait": "wait",
}
"""Command → module of this package that holds it."""

PREFIX = "SOJOURN"
"""Of the environment variables that are twins of options."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name every command."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found = getattr(import_module(f"sojourn.hosts.cli.{module}"), f"{cmd_name}_command")
        assert isinstance(found, click.Command)
        _name_twins(found, cmd_name)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that has read enough (``| head``) ends it without a word."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _silence()
            return 0

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, with a hint where there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f": did you mean `sojourn {close[0]}`?" if close else ""
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands by what they are for, without importing any."""
        for title, rows in HELP:
            with formatter.section(title):
                formatter.write_dl(rows)


def _name_twins(command: click.Command, name: str) -> None:
    """Give every option its twin: ``--memory-limit`` of ``up`` is ``SOJOURN_UP_MEMORY_LIMIT``."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.envvar is None:
            flag = max(parameter.opts, key=len).lstrip("-").replace("-", "_")
            parameter.envvar = f"{PREFIX}_{name}_{flag}".upper()
            parameter.show_envvar = True
    if isinstance(command, click.Group):
        for inner, found in command.commands.items():
            _name_twins(found, f"{name}_{inner}")


def _silence() -> None:
    """Let nothing more be written: what is left in buffers has no reader."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


HELP: list[tuple[str, list[tuple[str, str]]]] = [
    ("A host", [
        ("up", "Run this host's supervisor in the foreground."),
        ("down", "Stop it."),
        ("invite", "Print a token that lets another host pair with this one."),
        ("join", "Pair with the host that gave a token."),
        ("peers", "List the paired hosts; `peers role`, `peers revoke`."),
        ("cordon", "Let this host take no new jobs."),
        ("uncordon", "Let it take jobs again."),
        ("drain", "Cordon it and move every job away."),
    ]),
    ("Starting work", [
        ("submit", "Start a job of a flow; print its id."),
        ("run", "Start a job, follow it, print its result."),
        ("demo", "A failing job moves between two supervisors while it runs."),
    ]),
    ("Looking", [
        ("jobs", "List jobs."),
        ("show", "Show a job."),
        ("wait", "Wait for a job's end, or for a condition."),
        ("logs", "Show what a job's routines printed and logged."),
    ]),
    ("Acting", [
        ("pause", "Let no new turn of a job start."),
        ("resume", "Lift a pause, or answer a question."),
        ("cancel", "Cancel a job."),
        ("retry", "Give a failed job a fresh budget; take a blocked one up again."),
        ("forget", "Delete a finished job."),
    ]),
    ("Moving", [
        ("migrate", "Move running jobs to another host, or back."),
        ("export", "Write a job into a file."),
        ("import", "Take a job from a file."),
        ("handoff", "Hand-offs under way or in doubt: list, show, resolve."),
    ]),
    ("Else", [("completion", "Print a script for your shell's completion.")]),
]


@click.group(
    cls=LazyGroup,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="sojourn", prog_name="sojourn")
@click.pass_context
def cli(context: click.Context) -> None:
    """Durable flows of actors that move between hosts while they run."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Args:
        arguments: as of ``sys.argv`` without the program; None to take those.
    """
    _open_streams()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def _open_streams() -> None:
    """Give a stream that was closed (``>&-``) to nobody, and its number to no lock or socket."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def run(arguments: list[str]) -> int:
    """Run the command line.

    Returns:
        The exit code (section 9 of the design).
    """
    try:
        outcome: Any = cli.main(args=arguments, prog_name="sojourn", standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except SojournError as error:
        return _complain(arguments, error)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = f"; see `{context.command_path} --help`" if context is not None else ""
        return _complain(arguments, UsageError(error.format_message().rstrip(".") + hint))
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except OSError as error:
        # Not foreseen where it happened: the working directory is gone, stdout is a full disk, …
        return _complain(arguments, HostUnable(f"this host can't do that: {error}"))


def _wants_json(arguments: list[str]) -> bool:
    if os.environ.get("SOJOURN_OUTPUT") == "json" or "-ojson" in arguments:
        return True
    return any(
        option in ("-o", "--output") and value == "json" for option, value in pairwise(arguments)
    ) or "--output=json" in arguments


def _complain(arguments: list[str], error: SojournError) -> int:
    """Say what went wrong, for people or for machines; give the exit code."""
    if _wants_json(arguments):
        shown = {"error": {"type": type(error).__name__, "message": error.message}}
        click.echo(json.dumps(shown), err=True)
    else:
        click.echo(f"error: {error.message}", err=True)
    return error.exit_code
