"""Which files a routine's module needs, as zygotes tell them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sojourn.actors.loading import import_module
from sojourn.actors.zygote.dependencies import Dependencies
from sojourn.actors.zygote.fingerprint import Fingerprints
from sojourn.actors.zygote.imports import Allowance

SOURCES = {
    "needs_top": "import needs_plain, needs_pack.inner\nimport json\n",
    "needs_plain": "VALUE = 1\n",
    "needs_other": "VALUE = 2\n",
    "needs_lazy": "def later():\n    import needs_plain\n",
    "needs_circle": "import needs_circle_too\n",
    "needs_circle_too": "import needs_circle\n",
    "needs_dynamic": "import importlib\nfound = importlib.import_module('needs_other')\n",
    "needs_pack/__init__": "",
    "needs_pack/inner": "from . import beside\nfrom .deep.below import VALUE\n",
    "needs_pack/beside": "",
    "needs_pack/unused": "",
    "needs_pack/deep/__init__": "from .. import beside\n",
    "needs_pack/deep/below": "VALUE = 3\n",
}


@pytest.fixture
def dependencies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dependencies]:
    """Everything above is loaded, as by a zygote that serves several flows."""
    for name, text in SOURCES.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [name.removesuffix("/__init__").replace("/", ".") for name in SOURCES]
    for name in names:
        import_module(name)
    fingerprints = Fingerprints(Allowance((str(tmp_path),), ()))
    fingerprints.files()
    yield Dependencies(fingerprints)
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("needs_plain", ["needs_plain"]),
        ("needs_lazy", ["needs_lazy", "needs_plain"]),
        ("needs_circle", ["needs_circle", "needs_circle_too"]),
        ("needs_dynamic", ["needs_dynamic"]),
        (
            "needs_top",
            [
                "needs_pack/__init__", "needs_pack/beside", "needs_pack/deep/__init__",
                "needs_pack/deep/below", "needs_pack/inner", "needs_plain", "needs_top",
            ],
        ),
        (
            "needs_pack.deep.below",
            [
                "needs_pack/__init__", "needs_pack/beside", "needs_pack/deep/__init__",
                "needs_pack/deep/below",
            ],
        ),
        ("json", []),
        ("no.such.module", []),
    ],
)
def test_a_module_needs_what_it_imports_directly_or_by_others_and_its_packages(
    dependencies: Dependencies, module: str, files: list[str]
) -> None:
    assert dependencies.files(module) == [f"{file}.py" for file in files]
