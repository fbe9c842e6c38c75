"""``sojourn completion``: a script for the shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from sojourn.hosts.cli.common import Settings, with_settings
from sojourn.hosts.cli.main import cli
from sojourn.runtime.errors import UsageError


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@with_settings
def completion_command(settings: Settings, shell: str) -> None:
    """Print a completion script, e.g. for ~/.bashrc: eval "$(sojourn completion bash)"."""
    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"there is no completion for {shell}")
    script = found(cli, {}, "sojourn", "_SOJOURN_COMPLETE").source()
    settings.print({"script": script}, script)
