"""What `doctor` says about byte code: nothing, that it will come, or what its owner can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import bytecode
from tui.commands import doctor


@pytest.mark.parametrize(
    ("bare", "writable", "advice"),
    [(False, True, None), (True, True, ""), (True, False, "python -m compileall -q -j 0 '")],
)
def test_missing_byte_code(
    bare: bool,
    writable: bool,
    advice: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "with space" / "torch"
    monkeypatch.setattr(bytecode, "missing", lambda: [folder] if bare else [])
    monkeypatch.setattr(bytecode, "writable", lambda _: writable)
    findings = list(doctor._bytecode())
    assert len(findings) == bare
    for finding in findings:
        assert finding.state == "note"
        assert "torch" in finding.found
        assert (advice or "") in finding.advice
        assert bool(finding.advice) == bool(advice)
