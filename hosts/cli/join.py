"""``sojourn join``: pair with another host."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, with_settings
from sojourn.runtime.wire.client import Join


@click.command("join")
@click.argument("token", metavar="TOKEN")
@with_settings
def join_command(settings: Settings, token: str) -> None:
    """Pair with the host whose `sojourn invite` printed TOKEN."""
    body = settings.ask(Join(token.strip()))
    settings.print(body, f"paired with {body['name']}")
