"""The sandbox level in force: the strongest that holds, the one asked for, or a sentence."""

from __future__ import annotations

import pytest

from evolve.levels import LACKS, sandbox_level
from evolve.model import EvolveError
from evolve.sections import Sandbox, Settings
from harness import sandbox
from harness.sandbox import SandboxReport


def asked(level: str) -> Settings:
    return Settings(sandbox=Sandbox.model_validate({"level": level}))


def found(monkeypatch: pytest.MonkeyPatch, level: str, *available: str) -> None:
    """A machine on which these levels hold."""
    advice = "" if level == "bubblewrap" else "bubblewrap is not installed."
    report = SandboxReport(level, (*available, "process"), (), advice)
    monkeypatch.setattr(sandbox, "probe", lambda: report)


@pytest.mark.parametrize(
    ("wanted", "level", "available", "got"),
    [
        ("auto", "bubblewrap", ("bubblewrap", "landlock"), "bubblewrap"),
        ("landlock", "bubblewrap", ("bubblewrap", "landlock"), "landlock"),
        ("auto", "landlock", ("landlock",), "landlock"),
    ],
)
def test_a_level_that_holds_needs_no_permission(
    monkeypatch: pytest.MonkeyPatch, wanted: str, level: str, available: tuple[str, ...], got: str
) -> None:
    found(monkeypatch, level, *available)
    assert sandbox_level(asked(wanted), allow_weak=False) == got


@pytest.mark.parametrize("allow", [False, True])
def test_a_level_that_does_not_hold_is_refused_whatever_is_allowed(
    monkeypatch: pytest.MonkeyPatch, allow: bool
) -> None:
    found(monkeypatch, "landlock", "landlock")
    with pytest.raises(
        EvolveError, match=r"asks for bubblewrap, which does not hold.*not installed"
    ):
        sandbox_level(asked("bubblewrap"), allow_weak=allow)
    found(monkeypatch, "bubblewrap", "bubblewrap")
    with pytest.raises(
        EvolveError, match=r"asks for landlock.*\(bubblewrap does\).*set it to auto"
    ):
        sandbox_level(asked("landlock"), allow_weak=allow)


def test_plain_processes_need_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, "process")
    for wanted in ("auto", "process"):
        with pytest.raises(EvolveError, match=r"--allow-weak-sandbox"):
            sandbox_level(asked(wanted), allow_weak=False)
        assert sandbox_level(asked(wanted), allow_weak=True) == "process"


def test_what_a_weaker_level_lacks_is_told() -> None:
    assert set(LACKS) == set(sandbox.LEVELS) - {"bubblewrap"}
