"""Byte code for what a sandbox imports: found missing, written once beside the source, used by a read-only Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import bytecode


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package as uv leaves it."""
    folder = tmp_path / "bare_package"
    (folder / "deep").mkdir(parents=True)
    for name in ("__init__.py", "deep/__init__.py", "deep/module.py"):
        (folder / name).write_text("VALUE = 1\n")
    (folder / "template.py").write_text("{{ this is no Python }}\n")  # torch has such, too
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        bytecode, "PROBES", {"bare_package": "deep/module.py", "not_installed": "module.py"}
    )
    return folder


def test_it_is_written_once_and_a_read_only_python_uses_it(
    package: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "/nowhere")  # of the user; a candidate has none
    assert bytecode.missing() == [package]
    bytecode.write([package])
    assert bytecode.missing() == []
    assert capfd.readouterr() == ("", "")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX")
    said = subprocess.run(
        [sys.executable, "-B", "-v", "-c", "import bare_package.deep.module"],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert "matches " + str(package / "deep" / "module.py") in said


def test_a_folder_that_we_may_not_write_is_left_alone(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bytecode, "writable", lambda _: False)  # root may write everywhere
    bytecode.write([package])
    assert bytecode.missing() == [package]
    assert list(package.rglob("*.pyc")) == []


def test_the_probes_are_modules_of_the_packages() -> None:
    for name in ("torch", "sympy"):  # triton comes with torch for CUDA
        folder = bytecode._folder(name)
        assert folder is not None
        assert (folder / bytecode.PROBES[name]).is_file()
