"""``sojourn invite``: a token for another host."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, read_seconds, role_option, with_settings
from sojourn.runtime.roles import Role
from sojourn.runtime.wire.client import Invite


@click.command("invite")
@click.option("--valid", "seconds", type=float, default=3600.0, show_default=True, metavar="SECONDS",
              callback=read_seconds, help="How long the token can be used.")
@role_option("What the host that uses it may do here.  [default: operator, or what it may already]")
@with_settings
def invite_command(settings: Settings, seconds: float, role: Role | None) -> None:
    """Print a token that lets one other host pair with this one, once; keep it secret."""
    body = settings.ask(Invite(seconds, role))
    settings.print(body, body["token"])
