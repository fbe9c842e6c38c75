"""``sojourn down``: stop this host's supervisor."""

from __future__ import annotations

import time

import click

from sojourn.hosts.cli.common import Settings, with_settings
from sojourn.hosts.home import Home
from sojourn.hosts.orphans import supervisor_pid
from sojourn.runtime.wire.client import Down


@click.command("down")
@with_settings
def down_command(settings: Settings) -> None:
    """Stop this host's supervisor and wait until it has ended.

    Turns in flight get their grace; its jobs go on when it is up again.
    """
    home = Home.choose(settings.home)
    pid = supervisor_pid(home)
    settings.ask(Down())
    while settings.host is None and supervisor_pid(home) == pid is not None:
        time.sleep(0.02)
    settings.print({}, "")
