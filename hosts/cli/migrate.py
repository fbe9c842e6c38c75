"""``sojourn migrate``: move running jobs to another host."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sojourn.hosts.cli import preflight
from sojourn.hosts.cli.common import (
    Settings,
    complete_host,
    complete_job,
    read_milliseconds,
    read_seconds,
    with_settings,
)
from sojourn.hosts.cli.moving import move_many, show_entries
from sojourn.hosts.cli.progress import move_shown
from sojourn.runtime.errors import UsageError
from sojourn.runtime.moved import moved_entry
from sojourn.runtime.wire.client import DryRun, Migrate
from sojourn.runtime.wire.whole_hosts import MigrateMany


@click.command("migrate")
@click.argument("jobs", metavar="JOB...", nargs=-1, shell_complete=complete_job)
@click.option("--to", metavar="HOST", shell_complete=complete_host, help="The paired host that takes them.")
@click.option("--all", "everything", is_flag=True, help="Every unfinished job that this host owns.")
@click.option("--back", is_flag=True, help="Each to the host that it came from, instead of --to.")
@click.option("--grace", type=float, metavar="S", callback=read_seconds,
              help="Seconds that turns in flight get.  [default: their routine's, or the host's]")
@click.option("--max-downtime", type=float, metavar="MS", callback=read_milliseconds,
              help="Copy until the job would be frozen for less than this, or leave it where it is.")
@click.option("--allow-code-drift", is_flag=True, help="Accept different code on the target.")
@click.option("--dry-run", is_flag=True,
              help="Say what would speak against it and what it would cost; move nothing.")
@with_settings
def migrate_command(
    settings: Settings, jobs: tuple[str, ...], to: str | None, everything: bool, back: bool,
    grace: float | None, max_downtime: float | None, allow_code_drift: bool, dry_run: bool,
) -> int:
    """Move jobs to another host while they run, side by side; one that doesn't move stops no other.

    Of several, each is told with where it is now; exit code 7 where some stay, 8 where one is in doubt.
    """
    check_usage(jobs, to, everything=everything, back=back)
    if dry_run:
        looked_at = preflight.movable(settings) if everything else jobs
        preflight.dry_run(
            settings, [DryRun(job, to, grace, allow_code_drift, max_downtime) for job in looked_at]
        )
        return 0
    if len(jobs) != 1:
        names = None if everything else list(jobs)
        return move_many(settings, MigrateMany(names, to, grace, allow_code_drift, max_downtime))
    (job,) = jobs
    with move_shown(job) as show:
        body = settings.ask(
            Migrate(job, to, grace, allow_code_drift, max_downtime), job=job, on_progress=show
        )
    entry = moved_entry(body)
    return show_entries(settings, [entry], [entry])


def check_usage(jobs: Sequence[str], to: str | None, *, everything: bool, back: bool) -> None:
    """See that a migrate can be meant.

    Raises:
        UsageError: if it can't.
    """
    if everything == bool(jobs):
        raise UsageError("name the jobs that are to move, or --all; see `sojourn migrate --help`")
    if back == (to is not None):
        raise UsageError("name the host with --to, or --back; see `sojourn migrate --help`")
    if everything and back:
        raise UsageError("--back needs the names of the jobs: each goes to the host that it came from")
