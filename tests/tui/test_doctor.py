"""What `doctor` says about byte code and the sandbox: that all is well, or what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import bytecode, sandbox
from harness.sandbox import Check, SandboxReport
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


HELD, BROKEN = Check("network blocked", True, "blocked"), Check("no tracing", False, "attached")


@pytest.mark.parametrize(
    ("report", "state", "found", "advice"),
    [
        (
            SandboxReport("bubblewrap", sandbox.LEVELS, (HELD, HELD), ""),
            "ok",
            "bubblewrap, 2 attempts to break out failed",
            "",
        ),
        (
            SandboxReport("landlock", ("landlock", "process"), (HELD,), "install bubblewrap"),
            "ok",
            "landlock, 1 attempt to break out failed",
            "install bubblewrap",
        ),
        (
            SandboxReport("process", ("process",), (HELD, BROKEN), "use Linux 5.13"),
            "bad",
            "no tracing: attached",
            "use Linux 5.13 (or accept the risk with `autoresearch run --allow-weak-sandbox`)",
        ),
        (
            SandboxReport("process", ("process",), (), "use Linux 5.13"),
            "bad",
            "none is to be had",
            "use Linux 5.13 (or accept the risk with `autoresearch run --allow-weak-sandbox`)",
        ),
    ],
)
def test_the_sandbox(
    report: SandboxReport, state: str, found: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "probe", lambda: report)
    finding = doctor._sandbox()
    assert (finding.state, finding.found, finding.advice) == (state, found, advice)
