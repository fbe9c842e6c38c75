"""``sojourn peers``: the paired hosts."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, with_settings
from sojourn.hosts.cli.render import table
from sojourn.runtime.wire.client import Peers

TAKES_JOBS: dict[bool | None, str] = {True: "no (cordoned)", False: "yes", None: "?"}


@click.command("peers")
@with_settings
def peers_command(settings: Settings) -> None:
    """List the hosts that this one is paired with."""
    peers = settings.ask(Peers())["peers"]
    settings.print(
        peers,
        lambda: table(
            ["HOST", "CONNECTED", "TAKES JOBS", "ADDRESS", "ROLES"],
            [
                [
                    peer["name"], "yes" if peer["connected"] else "no",
                    TAKES_JOBS[peer.get("cordoned")], peer["address"] or "(dials us)",
                    ", ".join(peer["roles"]),
                ]
                for peer in peers
            ],
        ) if peers else "no peers: `sojourn invite` on one host, `sojourn join TOKEN` on the other",
    )
