"""What people read of a dry run."""

from __future__ import annotations

import click
from msgspec.structs import replace

from sojourn.hosts.cli.preflight import preflight_text
from sojourn.runtime.handoff.dry_run import Actor, Local, survey_document
from sojourn.runtime.handoff.survey import Timing
from sojourn.runtime.wire.survey import Code, Surveyed

HERE = Code("sha256:aa", [("one.py", "1"), ("two.py", "1")], {"one": ["one.py"], "two": ["two.py"]})
THERE = Code("sha256:bb", [("one.py", "1"), ("two.py", "2")], {"one": ["one.py"], "two": ["two.py"]})
ACTORS = [
    Actor("one", 7, 2, 3600.5, 1.5, 4.0, 0.25, 1.0, grace=10.0),
    Actor("two", typical=0.0052, grace=10.0),
]
LOCAL = Local(
    job_id="job", host="a", to="b", key="key", connected=True, protocol=(1, 1), protocol_there=(1, 1),
    version="0.1", code=HERE, allow_code_drift=False, rows=2000, blobs=[("ab", 5000), ("cd", 3000)],
    fsync=0.0005, changing=100.0, actors=ACTORS, max_downtime=0.02,
)
ANSWER = Surveyed(
    "m", 1, [], [("cd", 3000)], THERE, 10**10, 9000, 2.0, 0.0, 0.0, (1, 1), "0.2"
)


def rows(text: str) -> dict[str, str]:
    """Give the rows of the first table by their names."""
    lines = text.split("\n\n")[1].splitlines()[1:]
    width = lines[0].index("key") if lines[0].startswith("pairing") else len("against it (1)  ")
    return {line[:width].strip(): line[width:].strip() for line in lines}


def test_all_that_was_found_is_shown() -> None:
    text = preflight_text(survey_document(LOCAL, [], ANSWER, Timing(0.001, -0.25)))
    assert text.startswith("job job would move from a to b (nothing was moved)")
    shown = rows(text)
    assert shown["versions"] == "protocol 1, copy format 1; sojourn 0.1 here, 0.2 there"
    assert shown["code"] == "differs in two.py"
    assert shown["disk there"] == "9.0 kB needed, 10.0 GB free"
    assert shown["clock there"] == "-250.0 ms against this host's, ± 0.5 ms"
    assert shown["to send"].startswith("7.0 kB: about 2.0 kB of rows, 5.0 kB of 1 blobs; 1 blobs are there")
    assert shown["downtime"] == "about 9.0 ms, 20.0 ms allowed"
    assert shown["wait for turns"] == "up to 750.0 ms"
    one, two = text.splitlines()[-2:]
    for part in ("same", "#7, attempt 2", "01:00:00", "4.0 s", "250.0 ms ago", "10.0 s", "750.0 ms"):
        assert part in one
    for part in ("differs in two.py", "none", "5.2 ms", "0.0 ms"):
        assert part in two


def test_what_is_not_known_is_said_not_to_be() -> None:
    apart = replace(LOCAL, connected=False, protocol_there=None, code=Code(), actors=[Actor("one")])
    reasons = [("HandoffAborted", "host 'b' can't be reached"), ("HostUnable", "the\x1b[31m disk\nis full")]
    text = preflight_text(survey_document(apart, reasons, None, None))
    assert text.startswith("job job would NOT move from a to b")
    shown = rows(text)
    assert shown["against it (1)"] == "host 'b' can't be reached"
    assert click.unstyle(shown["against it (2)"]) == shown["against it (2)"], "it can't disturb a terminal"
    assert shown["pairing"] == "key key, NOT connected"
    assert shown["code"] == "not compared"
    assert (shown["disk there"], shown["clock there"], shown["downtime"]) == ("unknown",) * 3
    assert "protocol none in common" not in text
    assert "not compared" in text.splitlines()[-1]
