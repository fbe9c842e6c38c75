"""``sojourn join``: pair with another host."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, role_option, with_settings
from sojourn.runtime.roles import Role
from sojourn.runtime.wire.client import Join


@click.command("join")
@click.argument("token", metavar="TOKEN")
@role_option("What the host that gave the token may do here.  [default: operator, or what it may already]")
@with_settings
def join_command(settings: Settings, token: str, role: Role | None) -> None:
    """Pair with the host whose `sojourn invite` printed TOKEN."""
    body = settings.ask(Join(token.strip(), role))
    settings.print(body, f"paired with {body['name']}")
