"""The cell in which a candidate runs: the ladder of levels, and a self-test that decides between them.

`bubblewrap` gives all namespaces, no network, an empty environment and a read-only system; `landlock` keeps files,
network and signals apart where namespaces are forbidden; `process` is a plain process with a guardian that ends what
it leaves, and protects nothing but tidiness. This module builds command lines and judges them; it starts no candidate. A level counts only after a
script inside it has tried to break out and failed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness import bait, bubblewrap, landlock, seccomp
from harness.bounds import Bounds
from harness.bubblewrap import JOB as JOB
from harness.process import Supervised
from harness.spec import HarnessError

BUBBLEWRAP, LANDLOCK, PROCESS = "bubblewrap", "landlock", "process"
LEVELS = (BUBBLEWRAP, LANDLOCK, PROCESS)  # strongest first
_PROBE_PATIENCE = 30.0  # seconds; the test itself takes a tenth of one


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path that a candidate may see at `inside`."""

    source: Path
    inside: str
    writable: bool = False

    def seen(self, level: str) -> str:
        """The path under which the candidate finds it."""
        return self.inside if level == BUBBLEWRAP else str(self.source)


@dataclass(frozen=True, slots=True)
class Cell:
    """How to start a program in its cell: with this line, this environment, and these descriptors passed on."""

    argv: list[str]
    environment: dict[str, str]
    descriptors: tuple[int, ...] = ()


class Check(NamedTuple):
    """One attempt of the self-test to break out."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What the self-test found."""

    level: str  # the strongest level that held
    available: tuple[str, ...]  # all that held, strongest first
    checks: tuple[Check, ...]  # of that level, or of the strongest that started; empty if none did
    advice: str  # what to do for a stronger level; empty when there is nothing to do


@contextlib.contextmanager
def command(
    level: str,
    argv: Sequence[str],
    *,
    folder: Path,
    mounts: Sequence[Mount] = (),
    environment: Mapping[str, str] | None = None,
    gpu: bool = False,
    node: int | None = None,
    status_fd: int | None = None,
) -> Iterator[Cell]:
    """How to run `argv` at `level` with nothing but `environment` and `mounts`; to be started within the context.

    Inside bubblewrap the working directory is `/job`, empty but for what is mounted there; at the other levels it is
    `folder`, which landlock lets it write to. With `gpu` it sees the driver, and of the GPUs only /dev/nvidia`node`
    when that is known. All levels but `process` report the exit code of what they started on `status_fd`, as JSON.
    Raises HarnessError for an unknown level, a missing bubblewrap or a processor without a filter.
    """
    given = dict(environment or {})
    if level == PROCESS:
        job = {"cell": False, "spaces": "none", "status": None, "folder": str(folder)}
        yield Cell(landlock.command(job, argv), given)
        return
    if level not in LEVELS:
        raise HarnessError(f"There is no sandbox level “{level}”; choose from {', '.join(LEVELS)}.")
    devices = _gpu(node) if gpu else []
    told = () if status_fd is None else (status_fd,)
    if level == LANDLOCK and landlock.spaces() == "none":
        # Its workers would need semaphores in a /dev/shm of their own.
        given["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    with _filter(level) as filter_fd:
        if level == LANDLOCK:
            job = {
                **_readable(mounts, gpu),
                "write": [str(m.source) for m in mounts if m.writable] + [str(folder)],
                "devices": devices,
                "folder": str(folder),
                "cell": True,
                "filter": filter_fd,
                "spaces": landlock.spaces(),
                "gpu": gpu,
                "status": status_fd,
            }
            yield Cell(landlock.command(job, argv), given, (filter_fd, *told))
            return
        line = bubblewrap.command(
            argv,
            binds=[
                ("--bind" if m.writable else "--ro-bind", str(m.source), m.inside) for m in mounts
            ],
            devices=devices,
            environment=given,
            filter_fd=filter_fd,
            status_fd=status_fd,
        )
        yield Cell(line, {}, (filter_fd, *told))


@contextlib.contextmanager
def _filter(level: str) -> Iterator[int]:
    """A descriptor of the seccomp program of a level, for one start."""
    alone = landlock.spaces() != "none" or landlock.scopes_signals() if level == LANDLOCK else True
    handle = seccomp.descriptor(seccomp.program(shared=level == LANDLOCK, signals=alone))
    try:
        yield handle
    finally:
        os.close(handle)


def _readable(mounts: Sequence[Mount], gpu: bool) -> dict[str, list[str]]:
    """What a candidate may read at level landlock: system, interpreter and mounts.

    A mount over a part of system or interpreter takes the place of what is there, so that is hidden.
    """
    system = [*bubblewrap.SYSTEM, *bubblewrap.SETTINGS, *bubblewrap.interpreter()]
    covers = [m for m in mounts if any(m.inside.startswith(f"{path}/") for path in system)]
    shown = [str(m.source) for m in mounts if not m.writable and m not in covers]
    hidden = [m.inside for m in covers]
    return {"read": [*system, *(["/sys"] if gpu else []), *shown], "hidden": hidden}


def _gpu(node: int | None) -> list[str]:
    """The device nodes of NVIDIA: of one GPU, or of all when it is not known which."""
    gpus = sorted(map(str, Path("/dev").glob("nvidia[0-9]*")))
    if f"/dev/nvidia{node}" in gpus:
        gpus = [f"/dev/nvidia{node}"]
    shared = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps")
    return [*gpus, *(f"/dev/{name}" for name in shared)]


# ---- the self-test ---------------------------------------------------------------------------------------


@functools.cache
def probe() -> SandboxReport:
    """Find the strongest level that holds on this machine, by real attempts to break out; once a process."""
    with ThreadPoolExecutor() as pool:  # side by side, for both take a fifth of a second
        found = dict(zip(LEVELS[:-1], pool.map(_tried, LEVELS[:-1]), strict=True))
    held = [level for level, (checks, _) in found.items() if checks and all(c.ok for c in checks)]
    level = held[0] if held else PROCESS
    tried = [checks for checks, _ in found.values() if checks]
    checks = found[level][0] if held else (tried[0] if tried else ())
    advice = "" if level == BUBBLEWRAP else found[BUBBLEWRAP][1]
    if level == PROCESS:
        advice += f" {found[LANDLOCK][1]}"
    return SandboxReport(level, (*held, PROCESS), checks, advice)


def _tried(level: str) -> tuple[tuple[Check, ...], str]:
    """What the attack on a level came to, and what to do when it did not hold."""
    try:
        checks = attack(level)
    except HarnessError as fault:
        return (), str(fault)
    broken = ", ".join(check.name for check in checks if not check.ok)
    advice = "update it to 0.8 or later" if level == BUBBLEWRAP else "a newer kernel would help"
    return checks, f"{level} starts, but does not hold ({broken}); {advice}." if broken else ""


def attack(level: str) -> tuple[Check, ...]:
    """Run the attack inside `level`; raises HarnessError with the reason when that does not start."""
    with bait.laid_out(bubblewrap.interpreter()) as laid, tempfile.TemporaryFile() as output:
        script = Mount(bait.ATTACK, "/data/attack.py")
        public = Mount(laid.public, "/data/public")
        argv = laid.argv(script.seen(level), public.seen(level))
        folder, code = laid.folder, None
        try:
            with command(
                level,
                argv,
                folder=folder,
                mounts=(script, public),
                environment={"PATH": os.defpath},
            ) as cell:
                child = Supervised(
                    cell.argv,
                    env=cell.environment or {bait.MARK: "1"},  # which bubblewrap has to hide
                    cwd=folder,
                    output=output.fileno(),
                    pass_fds=cell.descriptors,
                    bounds=Bounds(),
                )
            child.exited(_PROBE_PATIENCE)
            code = child.code
            child.close()
        except OSError as fault:
            raise HarnessError(f"{level} could not be tried: {fault}.") from fault
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
    if code != 0:
        raise HarnessError(_why_not(level, said))
    found: dict[str, str] = json.loads(said.splitlines()[-1])
    return tuple(Check(name, not escaped, escaped or "blocked") for name, escaped in found.items())


def _why_not(level: str, said: str) -> str:
    last = said.splitlines()[-1] if said else "it gave no reason"
    if level == LANDLOCK:
        return f"Landlock does not start here: {last}. It needs Linux 5.13 with Landlock enabled."
    return (
        f"bubblewrap does not start here: {last}. Inside Docker, add `--security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined --security-opt systempaths=unconfined`; on Ubuntu, allow unprivileged user namespaces "
        "(`sysctl kernel.apparmor_restrict_unprivileged_userns=0`)."
    )
