"""What must hold of a job after whatever happened to it: one owner, each message once, exact attempts.

Judged by what anyone can see: the documents of all hosts, and the file to which routines append each
of their effects. It never asks a supervisor for more than ``show`` gives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sojourn.runtime.errors import NoSupervisor, NotFound, WaitTimedOut
from sojourn.runtime.wire.client import Status
from tests.integration.hosting import Effect, Host, Json, check_effects, read_effects
from tests.waiting import wait_until

NOT_OWNED = (None, "moving", "moved")
"""What a host says of a job that it doesn't run."""

WHOLE = 100_000
"""History entries: more than any job of a test has."""


def the_owner(hosts: Iterable[Host], job: str) -> Host | None:
    """Give the one host that owns a job; None while it is on its way or a host is down.

    Raises:
        AssertionError: if two own it.
    """
    known = list(hosts)
    try:
        statuses = {host: _status(host, job) for host in known}
        owners = [host for host in known if statuses[host] not in NOT_OWNED]
        if len(owners) > 1:
            # it may have moved on between two looks: then the first one doesn't own it any more
            owners = [host for host in owners if _status(host, job) not in NOT_OWNED]
    except NoSupervisor:
        return None
    assert len(owners) < 2, f"hosts {[host.name for host in owners]} own job {job}"
    return owners[0] if owners and "moving" not in statuses.values() else None


def _status(host: Host, job: str) -> str | None:
    try:
        status: str = host.show(job, history=0)["status"]
    except NotFound:
        return None
    return status


def wait_for_owner(hosts: Iterable[Host], job: str, timeout: float = 60.0) -> Host:
    """Wait until one host owns a job."""
    known = list(hosts)
    owner = wait_until(lambda: the_owner(known, job), timeout, f"job {job} to have an owner")
    assert owner is not None
    return owner


def check_history(document: Json) -> None:
    """Check that each message ended once and that its attempts are 1, 2, 3 … without gap or repetition.

    An ``interrupted`` entry charges nothing: the same number is tried again.
    """
    entries: dict[int, list[Json]] = defaultdict(list)
    assert len(document["history"]) == document["history_total"]
    for entry in document["history"]:
        entries[entry["message"]].append(entry)
    pending = {message["message"] for message in document["pending"]}
    for message, found in entries.items():
        number = 1
        ended = False
        for entry in found:
            where = f"message {message} of job {document['job_id']}: {entry}"
            assert not ended, f"an attempt after the end: {where}"
            assert entry["attempt"] == number, f"attempt {number} was due: {where}"
            if entry["outcome"] == "interrupted":
                continue
            number += 1
            ended = entry["outcome"] in ("succeeded", "skipped")
        assert ended or document["status"] != "completed" or message in pending, (
            f"message {message} of job {document['job_id']} never ended: {found[-1]}"
        )


def check_done(document: Json, effects: Iterable[Effect]) -> None:
    """Check a job's effects against its history: the right attempts left traces, on one host at a time.

    An attempt that was interrupted, or whose process crashed, may have left any of its traces. The last
    message of ``when_idle`` leaves none in the flows of the tests.
    """
    own = [effect for effect in effects if effect.turn.startswith(document["instance"] + ":")]
    check_effects(own, document)
    epochs: dict[tuple[tuple[str, int], str], list[int]] = defaultdict(list)
    finished = set[tuple[str, int]]()
    for entry in document["history"]:
        key = (f"{document['instance']}:{entry['message']}", entry["attempt"])
        epochs[key, entry["host"]].append(entry["epoch"])
        if entry["outcome"] == "succeeded" and entry["slot"] != "idle":
            finished.add(key)
    latest = 0
    for effect in own:
        possible = epochs[effect.key, effect.host]
        assert possible, f"turn {effect.turn}, attempt {effect.attempt}: no record by host {effect.host}"
        assert max(possible) >= latest, (
            f"host {effect.host} ran turn {effect.turn} at epoch {max(possible)} after a host had begun "
            f"with epoch {latest}"
        )
        latest = max(latest, min(possible))
    missing = finished - {effect.key for effect in own}
    assert not missing, f"recorded as done, but no trace of it: {sorted(missing)[:5]}"


def judge(hosts: Iterable[Host], job: str, timeout: float = 90.0) -> Json:
    """Wait until a job has ended at its one owner, check all of it, and give its document."""
    known = list(hosts)
    owner = wait_for_owner(known, job, timeout)
    try:
        owner.wait(job, timeout=timeout)
    except WaitTimedOut as error:
        raise AssertionError(
            f"{job} doesn't end: {owner.show(job)}\n{owner.ask(Status())}{owner.log_tail()}"
        ) from error
    wait_until(lambda: the_owner(known, job) is owner, timeout, f"host {owner.name} to own {job} alone")
    document = owner.show(job, history=WHOLE)
    assert document["status"] == "completed", document["error"] or document["reason"]
    check_history(document)
    check_done(document, read_effects(owner.effects))
    return document
