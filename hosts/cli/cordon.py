"""``sojourn cordon`` and ``uncordon``: whether this host takes new jobs."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, with_settings
from sojourn.runtime.wire.whole_hosts import Cordon


@click.command("cordon")
@with_settings
def cordon_command(settings: Settings) -> None:
    """Let this host take no new jobs: none submitted, imported or handed over. Those it has go on.

    Lasts until `sojourn uncordon`, also over a restart.
    """
    body = settings.ask(Cordon())
    settings.print(body, f"{body['host']} cordoned")


@click.command("uncordon")
@with_settings
def uncordon_command(settings: Settings) -> None:
    """Let this host take jobs again; a drain that is under way begins no more moves."""
    body = settings.ask(Cordon(on=False))
    settings.print(body, f"{body['host']} uncordoned")
