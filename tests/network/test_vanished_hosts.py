"""An address that vanishes for ever in the middle of a hand-off: before the commit point, and after it."""

from __future__ import annotations

import pytest

from sojourn.runtime.errors import NotFound
from tests.integration.hosting import Effect, Host, read_effects
from tests.integration.judging import WHOLE, check_done, check_history, judge
from tests.network.link_model import CUT
from tests.network.moving import SLOW, exit_code, finish, said, until_moving, until_said
from tests.network.network import Network

pytestmark = pytest.mark.xdist_group("network")

MESSAGES = 30


def begin(network: Network, source: Host) -> None:
    """Start a job, and make the link so slow that its hand-off can be met in any phase."""
    source.submit("load:flaky", "job", n=MESSAGES, gated=True)
    source.wait("job", "work.succeeded >= 2")
    network.set("a", "b", SLOW)


def test_before_the_commit_point_the_job_is_safe_at_its_source(
    network: Network, pair: tuple[Host, Host]
) -> None:
    """The target is prepared, which the source never learns: only its first half of the link died."""
    a, b = pair
    begin(network, a)
    mover = a.start("migrate", "job", "--to", "b")
    until_moving(a)
    network.set_one_way("b", "a", CUT)
    code, complaint = exit_code(mover)
    assert not said(a, "job released"), "the machine was too slow to cut the link in FROZEN"
    network.cut("a", "b")
    assert code == 7, complaint
    assert "stays on host 'a'" in complaint
    finish(a)
    final = judge([a], "job")
    assert (final["host"], final["epoch"]) == ("a", 1)
    assert sorted(final["result"]["got"]) == list(range(MESSAGES))
    prepared_and_nothing_more(b)
    assert by(b) == []


def test_after_the_commit_point_it_is_in_doubt_and_runs_nowhere_until_someone_decides(
    network: Network, pair: tuple[Host, Host]
) -> None:
    a, b = pair
    begin(network, a)
    mover = a.start("migrate", "job", "--to", "b")
    until_said(a, "job released")
    network.cut("a", "b")
    assert not said(b, "job owned"), "the machine was too slow to cut the link in RELEASED"
    done = len(read_effects(a.effects))
    in_doubt(a, *exit_code(mover))
    prepared_and_nothing_more(b)
    assert len(read_effects(a.effects)) == done, "a job in doubt ran"


def test_after_the_commit_point_a_target_that_heard_of_it_runs_the_job_alone(
    network: Network, pair: tuple[Host, Host]
) -> None:
    a, b = pair
    begin(network, a)
    mover = a.start("migrate", "job", "--to", "b")
    until_said(b, "job owned")
    network.set_one_way("b", "a", CUT)  # ACK is on its way for a while
    network.cut("a", "b")
    in_doubt(a, *exit_code(mover))
    finish(b)
    b.wait("job")
    final = b.show("job", history=WHOLE)
    check_history(final)
    check_done(final, read_effects(a.effects))
    assert (final["status"], final["epoch"]) == ("completed", 2)
    assert sorted(final["result"]["got"]) == list(range(MESSAGES))
    assert a.show("job")["status"] == "moving"


def in_doubt(source: Host, code: int, complaint: str) -> None:
    """The source says so, names what ends the doubt, and never runs the job, restarted or not."""
    assert code == 8, complaint
    assert "sojourn handoff resolve job" in complaint
    before = by(source)
    source.kill()
    source.up()
    assert source.show("job")["status"] == "moving"
    refused = source.run("migrate", "job", "--to", "b")
    assert refused.returncode == 4, refused.stderr
    assert len(by(source)) == len(before)


def prepared_and_nothing_more(target: Host) -> None:
    """After a restart, too, the target keeps the id for the job that it is to get, and doesn't have it."""
    target.kill()
    target.up()
    with pytest.raises(NotFound):
        target.show("job")
    refused = target.run("submit", "load:flaky", "--job-id", "job", "--input", '{"n": 1}')
    assert refused.returncode == 4, refused.stderr
    assert "handed over" in refused.stderr


def by(host: Host) -> list[Effect]:
    """Give what a host's routines did."""
    return [effect for effect in read_effects(host.effects) if effect.host == host.name]
