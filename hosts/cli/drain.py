"""``sojourn drain``: move everything away from this host."""

from __future__ import annotations

import click

from sojourn.hosts.cli.common import Settings, complete_host, read_seconds, with_settings
from sojourn.hosts.cli.moving import drain_text, names_text, show_entries
from sojourn.hosts.cli.progress import counts_shown
from sojourn.hosts.connection import Body
from sojourn.runtime.wire.whole_hosts import Drain


@click.command("drain")
@click.option("--to", metavar="HOST", shell_complete=complete_host,
              help="The paired host that takes everything.  [default: spread over all that take jobs]")
@click.option("--deadline", type=float, metavar="S", callback=read_seconds,
              help="Seconds after which it ends, whatever is open.  [default: none]")
@click.option("--grace", type=float, metavar="S", callback=read_seconds,
              help="Seconds that turns in flight get.  [default: their routine's, or the host's]")
@with_settings
def drain_command(
    settings: Settings, to: str | None, deadline: float | None, grace: float | None
) -> int:
    """Cordon this host and move every unfinished job away, while it runs.

    Ends once every job that was released is acknowledged by its new owner, and no other can move.
    Ctrl-C ends the watching only; `sojourn drain` again goes on with it, `sojourn uncordon` ends it.

    Exit code 7: jobs stay, each is named with the reason. 8: the deadline passed while released jobs
    were unacknowledged.
    """
    last: list[Body] = []
    with counts_shown("drain") as show:

        def news(body: Body) -> None:
            last[:] = [body]
            show(counts_text(body))

        body = settings.ask(Drain(to, deadline, grace), on_progress=news, goes_on=lambda: _goes_on(last))
    entries = body["jobs"]
    if not entries:
        click.echo(f"host {body['host']!r} is cordoned and had no unfinished job", err=True)
    return show_entries(
        settings, entries, body, lambda: drain_text(entries) if entries else ""
    )


def counts_text(news: Body) -> str:
    """Say in a line how far a drain is."""
    parts = [f"{news['moved']} moved", f"{len(news['under_way'])} under way", f"{news['waiting']} to go"]
    if news["in_doubt"]:
        doubts = news["in_doubt"]
        parts.append(f"{len(doubts)} released and not acknowledged ({names_text(doubts)})")
    if news["stays"]:
        parts.append(f"{len(news['stays'])} can't move")
    return ", ".join(parts)


def _goes_on(last: list[Body]) -> str:
    where = "the drain goes on"
    if last:
        news = last[0]
        where = f"the drain of host {news['host']!r} goes on ({counts_text(news)}"
        where += f"; under way: {names_text(news['under_way'])})" if news["under_way"] else ")"
    return f"{where}; `sojourn drain` follows it again, `sojourn uncordon` ends it"
