"""What a host finds and allows under its import paths, before anything is imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sojourn import AccessDenied, NotFound
from sojourn.actors.zygote.imports import Allowance


def test_modules_in_folders_without_init_files_are_found_at_any_depth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "nightly_jobs" / "etl" / "pages"
    inner.mkdir(parents=True)
    (inner / "flow.py").write_text("raise AssertionError('nothing is imported to check a module')")
    monkeypatch.syspath_prepend(str(tmp_path))
    allowance = Allowance((str(tmp_path),), ())
    for name in ("nightly_jobs", "nightly_jobs.etl", "nightly_jobs.etl.pages.flow"):
        allowance.check(name)
        assert name not in sys.modules
    with pytest.raises(NotFound, match="no module 'nightly_job'"):
        allowance.check("nightly_job")
    elsewhere = Allowance((str(tmp_path / "other"),), ())
    with pytest.raises(AccessDenied, match="outside what this host allows"):
        elsewhere.check("nightly_jobs.etl.pages.flow")
