"""The wheel and the sdist hold what the checkout holds: every other test runs on the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parent.parent
# A copy is built: building in place leaves files behind, under other tests' feet.
PARTS = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "sojourn", "actors", "runtime", "hosts")

CHECK = """
import sojourn, sojourn.runtime.flow, sojourn.actors.process.main, sojourn.hosts.cli
print(sojourn.__file__)
print(sojourn.Flow.__module__, sojourn.Client.__module__)
"""


def _run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (
        f"{command} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
    )
    return done.stdout


def _pip(*arguments: str | Path, cwd: Path) -> None:
    _run(sys.executable, "-m", "pip", "--quiet", *arguments, cwd=cwd)


def _copy_sources(source: Path) -> None:
    source.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(
                ROOT / part,
                source / part,
                symlinks=True,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        else:
            shutil.copy(ROOT / part, source / part)


def _build_sdist(source: Path, folder: Path) -> Path:
    """Build as a front end does: with what the project asks for, and nothing else."""
    tools = folder / "tools"
    _pip("install", "--target", tools, *tomllib.loads((source / "pyproject.toml").read_text())[
        "build-system"]["requires"], cwd=folder)
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    _run(sys.executable, "-c", build, folder / "sdists", cwd=source, PYTHONPATH=str(tools))
    (sdist,) = (folder / "sdists").iterdir()
    return sdist


def _build_wheel(source: Path, wheels: Path, folder: Path) -> Path:
    _pip("wheel", "--no-deps", "--wheel-dir", wheels, source, cwd=folder)
    (wheel,) = wheels.iterdir()
    return wheel


def _environment_with_our_dependencies(folder: Path) -> Path:
    """Make an environment that finds this one's packages after its own, and no editable install."""
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    own = _run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    ).strip()
    ours = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    # a .pth file in a folder that a .pth file names isn't read: that is how editable installs work
    (Path(own) / "dependencies.pth").write_text("".join(f"{path}\n" for path in ours))
    return python


@pytest.mark.timeout(300)
def test_the_wheel_installs_and_runs_in_a_fresh_environment(tmp_path: Path) -> None:
    source = tmp_path / "source"
    _copy_sources(source)
    # first, so that nothing that a build leaves in the folder is in it
    sdist = _build_sdist(source, tmp_path)
    wheel = _build_wheel(source, tmp_path / "wheels", tmp_path)
    again = _build_wheel(sdist, tmp_path / "wheels-of-sdist", tmp_path)

    with ZipFile(wheel) as archive, ZipFile(again) as other:
        inside = set(archive.namelist())
        assert inside == set(other.namelist()), "the sdist doesn't hold all that a wheel is made of"
    expected = {
        f"sojourn/{path.relative_to(source).as_posix()}"
        for folder in ("actors", "runtime", "hosts")
        for pattern in ("*.py", "*.sql")
        for path in (source / folder).rglob(pattern)
    }
    expected |= {"sojourn/__init__.py", "sojourn/testing.py", "sojourn/py.typed"}
    assert "sojourn/hosts/store/migrations/0001.sql" in expected
    assert not expected - inside, (
        "a folder without __init__.py, or a kind of file not in package-data"
    )
    assert {name.split("/")[0].split("-")[0] for name in inside} == {"sojourn"}

    python = _environment_with_our_dependencies(tmp_path)
    _pip("--python", python, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    where, modules = _run(python, "-I", "-c", CHECK, cwd=tmp_path).splitlines()
    assert Path(where).is_relative_to(tmp_path)
    assert modules == "sojourn.actors.flow sojourn.hosts.client"
    assert "migrate" in _run(python.parent / "sojourn", "--help", cwd=tmp_path)
    shown = _run(python.parent / "sojourn", "demo", cwd=tmp_path)
    assert shown.rstrip().splitlines()[-1].startswith("every claim is true")
