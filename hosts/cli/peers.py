"""``sojourn peers``: the paired hosts, what each may do here, and the end of a pairing."""

from __future__ import annotations

from typing import Any

import click

from sojourn.hosts.cli.common import Settings, complete_host, with_settings
from sojourn.hosts.cli.render import line_text, table
from sojourn.runtime.errors import UsageError
from sojourn.runtime.roles import Role
from sojourn.runtime.wire.client import Peers, Revoke, SetRole

NAMED_AT_ONCE = 10
"""Jobs that a line names."""


@click.group("peers", invoke_without_command=True)
@with_settings
@click.pass_context
def peers_command(context: click.Context, settings: Settings) -> None:
    """List the hosts that this one is paired with, or change what one may do here."""
    if context.invoked_subcommand is not None:
        _refuse_misplaced(context, context.invoked_subcommand)
        return
    peers = settings.ask(Peers())["peers"]
    settings.print(
        peers,
        lambda: _listed(peers) if peers
        else "no peers: `sojourn invite` on one host, `sojourn join TOKEN` on the other",
    )


def _refuse_misplaced(context: click.Context, inner: str) -> None:
    """Options before the inner command would be for nobody: least of all may ``--home`` be let go."""
    for name in context.params:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"write --{name} after `sojourn peers {inner}`: it belongs to that command")


def _listed(peers: list[dict[str, Any]]) -> str:
    shown = table(
        ["HOST", "STATE", "ADDRESS", "ROLE HERE", "GRANTED BY", "ROLE THERE"],
        [
            [
                peer["name"], _state(peer), peer["address"] or "(dials us)", peer["role"], peer["granted"],
                peer["role_there"] or "-",
            ]
            for peer in peers
        ],
    )
    whys = [f"{peer['name']}: {line_text(peer['why'], 300)}" for peer in peers if peer["why"]]
    return "\n".join([shown, *whys])


def _state(peer: dict[str, Any]) -> Any:
    return peer["state"] + (", cordoned" if peer["connected"] and peer.get("cordoned") else "")


@peers_command.command("role")
@click.argument("name", metavar="NAME", shell_complete=complete_host)
@click.argument("role", metavar="ROLE", type=click.Choice([role.value for role in Role]))
@with_settings
def role_command(settings: Settings, name: str, role: str) -> None:
    """Let the paired host NAME do more or less here: viewer, peer or operator.

    viewer: looks at jobs. peer: hands jobs over, either way, and acts on those that it has had itself.
    operator: acts on every job (`--host`), but not on who is paired. It holds at once; a hand-off that has
    begun goes on.
    """
    body = settings.ask(SetRole(name, Role(role)))
    settings.print(body, f"{body['name']} is {body['role']} here")


@peers_command.command("revoke")
@click.argument("name", metavar="NAME", shell_complete=complete_host)
@click.option("--force", is_flag=True,
              help="Though a hand-off with it is in doubt, which this host then can't end by itself.")
@with_settings
def revoke_command(settings: Settings, name: str, force: bool) -> None:
    """End the pairing with the host NAME, at once: its key is refused from now on.

    Jobs that are there stay there, and this host can't follow or fetch them any more. Invitations that are
    still open end with it, since nobody knows who holds them. A new `sojourn invite` pairs the two anew.
    """
    body = settings.ask(Revoke(name, force))
    settings.print(body, lambda: "\n".join(_what_follows(body)))


def _what_follows(body: dict[str, Any]) -> list[str]:
    name = body["name"]
    lines = [f"{name} is revoked: its key is refused from now on"]
    if body["jobs"]:
        jobs = _some(body["jobs"])
        lines.append(f"jobs that are there stay there, and can't be reached from here: {jobs}")
    lines.extend(
        f"job {job} is in doubt and runs nowhere until you say where it is: sojourn handoff show {job}"
        for job in body["in_doubt"]
    )
    if body["invitations"]:
        lines.append(f"invitations that were still open and ended with it: {body['invitations']}")
    return lines


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_AT_ONCE} more" if len(names) > NAMED_AT_ONCE else ""
    return ", ".join(names[:NAMED_AT_ONCE]) + more
