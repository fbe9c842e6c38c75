"""Jobs through files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sojourn import Flow, JobState
from tests.integration.conftest import MakeHost
from tests.integration.hosting import Host, attempts, check_effects, pair_hosts, read_effects
from tests.integration.moving import dying_at, warm_up
from tests.waiting import wait_until


def test_a_released_file_continues_there_and_nowhere_else(
    pair: tuple[Host, Host], make_host: MakeHost, tmp_path: Path, effects: Path
) -> None:
    a, b = pair
    c = make_host("c").up()
    warm_up(b, "failing:crossing")
    a.submit("failing:crossing", "job")
    a.wait("job", "failing.retry_count >= 3")
    file = tmp_path / "job.json"
    a.do("export", "job", str(file), "--release", "--to", "b")
    before = read_effects(effects)
    refused = c.run("import", str(file))
    assert refused.returncode == 4
    assert "another host" in refused.stderr
    assert json.loads(c.do("jobs", "-o", "json")) == []
    a.kill()
    a.up()
    for again in (("migrate", "job", "--to", "b"), ("export", "job", "x", "--release", "--to", "b")):
        done = a.run(*again)
        assert (done.returncode, "being handed over" in done.stderr) == (4, True), done.stderr
    assert a.run("import", str(file)).returncode == 4
    assert (a.show("job")["status"], a.show("job")["moved_to"]) == ("moving", "b")
    assert read_effects(effects) == before, "the source ran what it had released"
    assert b.do("import", str(file)) == "job"
    assert b.run("import", str(file)).returncode == 4
    final = b.wait("job")
    assert (final["status"], final["epoch"], final["host"]) == ("completed", 2, "b")
    assert [o[1:] for o in attempts(final, "failing")] == [
        (1, "failed", "a"), (2, "failed", "a"), (3, "failed", "a"), (4, "succeeded", "b"),
    ]
    check_effects(read_effects(effects), final)
    assert a.wait("job", timeout=20)["host"] == "b"
    assert a.show("job")["status"] == "moved"


def test_a_file_without_release_is_a_new_job(host: Host, tmp_path: Path) -> None:
    host.submit("failing:long_backoff", "job")
    host.wait("job", "failing.retry_count >= 1")
    file = tmp_path / "job.json"
    host.do("export", "job", str(file))
    copy = host.do("import", str(file))
    assert copy != "job"
    shown = host.show(copy)
    assert (shown["epoch"], shown["routines"]["failing"]["retry_count"]) == (1, 1)
    assert shown["instance"] != host.show("job")["instance"]
    final = host.wait(copy, "failing.retry_count >= 2")
    assert [o[1] for o in attempts(final, "failing")] == [1, 2]
    assert host.show("job")["status"] == "running"


def truncate(text: str) -> str:
    return text[: len(text) // 2]


def edit(text: str) -> str:
    return text.replace('"attempts": 1', '"attempts": 0')


def make_newer(text: str) -> str:
    return text.replace('"format": 1', '"format": 99', 1)


def write_text(_text: str) -> str:
    return "hello"


def write_list(_text: str) -> str:
    return "[]"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (truncate, "truncated"),
        (edit, "changed after it was written"),
        (make_newer, "format 99"),
        (write_text, "no JSON"),
        (write_list, "no export"),
    ],
)
def test_a_damaged_file_is_refused_with_a_sentence(
    host: Host, tmp_path: Path, damage: Callable[[str], str], says: str
) -> None:
    host.submit("failing:endless", "job")
    host.wait("job", "failing.retry_count >= 1")
    file = tmp_path / "job.json"
    host.do("export", "job", str(file))
    file.write_text(damage(file.read_text()))
    done = host.run("import", str(file))
    assert done.returncode == 6
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(json.loads(host.do("jobs", "-o", "json"))) == 1


def test_two_documents_resume_as_a_new_job(pair: tuple[Host, Host], tmp_path: Path) -> None:
    a, b = pair
    a.submit("failing:long_backoff", "job")
    a.wait("job", "failing.retry_count >= 1")
    file = tmp_path / "job.json"
    a.do("export", "job", str(file))
    parts = json.loads(file.read_text())
    with b.client() as client:
        flow = Flow.deserialize(parts["flow"])
        new = client.resume_document(flow, JobState.deserialize(parts["job"]))
    final = b.wait(new, "failing.retry_count >= 2")
    assert [o[1:] for o in attempts(final, "failing")] == [(1, "failed", "a"), (2, "failed", "b")]


def test_a_released_job_is_acknowledged_when_its_source_is_back(
    make_host: MakeHost, tmp_path: Path
) -> None:
    a, b = make_host("a").up(), make_host("b").up()
    pair_hosts(a, b)
    a.submit("failing:slow_backoff", "job")
    a.wait("job", "failing.retry_count >= 1")
    file = tmp_path / "job.json"
    a.do("export", "job", str(file), "--release", "--to", "b")
    a.kill()
    b.do("import", str(file))
    b.wait("job", "failing.retry_count >= 2")
    a.up()
    assert a.wait("job", timeout=30)["host"] == "b"
    assert (a.show("job")["status"], b.show("job")["epoch"]) == ("moved", 2)


def test_a_file_can_be_imported_only_once_its_job_is_released(
    make_host: MakeHost, tmp_path: Path
) -> None:
    a, b = make_host("a").up(SOJOURN_CRASH_POINT="source.before-write-released"), make_host("b").up()
    pair_hosts(a, b)
    a.submit("points:asking", "job")
    a.wait("job", "status == 'paused'")
    file = tmp_path / "job.json"
    a.run("export", "job", str(file), "--release", "--to", "b")
    a.died()
    assert not file.exists(), "the job is still its source's, so that nobody else may have it"
    a.up(SOJOURN_CRASH_POINT="source.after-write-released")
    assert a.show("job")["status"] == "paused"
    a.run("export", "job", str(file), "--release", "--to", "b")
    a.died()
    a.up()
    wait_until(file.exists, what="the released file")
    assert a.show("job")["status"] == "moving"
    b.do("import", str(file))
    b.do("resume", "job", "--input", '{"approved": true}')
    assert b.wait("job")["epoch"] == 2


@pytest.mark.parametrize(
    "point",
    [
        "source.before-write-file", "source.before-write-released", "source.after-write-released",
        "source.after-write-file",
    ],
)
def test_a_source_that_dies_while_it_releases_leaves_a_file_or_goes_on_itself(
    make_host: MakeHost, tmp_path: Path, effects: Path, point: str
) -> None:
    a, b = make_host("a").up(**dying_at(point)), make_host("b").up()
    pair_hosts(a, b)
    a.submit("failing:crossing", "job")
    a.wait("job", "failing.retry_count >= 3")
    file = tmp_path / "job.json"
    assert a.run("export", "job", str(file), "--release", "--to", "b").returncode == 5
    a.died()
    a.up()
    released = a.show("job")["status"] == "moving"
    assert file.exists() == released, "a file that can be imported and an owner that goes on"
    if released:
        b.do("import", str(file))
    final = (b if released else a).wait("job")
    assert (final["status"], final["epoch"]) == ("completed", 2 if released else 1)
    assert [o[1] for o in attempts(final, "failing")] == [1, 2, 3, 4]
    check_effects(read_effects(effects), final)
    assert a.show("job")["status"] in ("moved" if released else "completed", "moving")


@pytest.mark.parametrize(
    "point", ["target.before-write-owned", "target.after-write-owned", "target.after-send-ack"]
)
def test_a_target_that_dies_while_it_imports_can_import_again_and_owns_it_once(
    make_host: MakeHost, tmp_path: Path, effects: Path, point: str
) -> None:
    a, b = make_host("a").up(), make_host("b").up(**dying_at(point))
    pair_hosts(a, b)
    a.submit("failing:crossing", "job")
    a.wait("job", "failing.retry_count >= 3")
    file = tmp_path / "job.json"
    a.do("export", "job", str(file), "--release", "--to", "b")
    b.run("import", str(file))
    b.died()
    b.up()
    again = b.run("import", str(file))
    assert again.returncode == (0 if point == "target.before-write-owned" else 4), again.stderr
    final = b.wait("job")
    assert (final["status"], final["epoch"]) == ("completed", 2)
    assert [o[1] for o in attempts(final, "failing")] == [1, 2, 3, 4]
    check_effects(read_effects(effects), final)
    wait_until(lambda: a.show("job")["status"] == "moved", 30.0, "the source to hear of the import")
