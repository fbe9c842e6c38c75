"""``sojourn peers``: the paired hosts."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, with_settings
from sojourn.hosts.cli.render import table
from sojourn.hosts.connection import Body
from sojourn.runtime.wire.client import Peers


@click.command("peers")
@with_settings
def peers_command(settings: Settings) -> None:
    """List the hosts that this one is paired with."""
    peers = settings.ask(Peers())["peers"]
    settings.print(
        peers,
        lambda: table(
            ["HOST", "CONNECTED", "ADDRESS", "ROLES"],
            [
                [
                    peer["name"], _reachable(peer),
                    peer["address"] or "(dials us)", ", ".join(peer["roles"]),
                ]
                for peer in peers
            ],
        ) if peers else "no peers: `sojourn invite` on one host, `sojourn join TOKEN` on the other",
    )


def _reachable(peer: Body) -> str:
    if not peer["connected"]:
        return "no"
    return "yes, cordoned" if peer.get("cordoned") else "yes"
