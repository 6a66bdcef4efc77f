"""Starts the processes of one experiment: meter, scorer and, in its cell, the candidate.

It decides what a candidate finds: folders, environment, descriptors, and nothing else. Everything it starts or
writes is ended and removed when its context is left, on every path.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import (
    bytecode,
    compilecache,
    device,
    identity,
    process,
    reaper,
    rundir,
    sandbox,
    wire,
)
from harness.bounds import Bounds
from harness.corpus import private_paths
from harness.device import detect, gpu_of
from harness.places import cache_dir
from harness.sandbox import BUBBLEWRAP, Mount
from harness.spec import Cause, ExperimentSpec, HarnessError

if TYPE_CHECKING:
    from harness.dataset import Dataset

# Seconds that an evaluation may take beyond what the training took for as many tokens: a tenth of the budget, within
# these bounds. A model compiles for it, and needs no backward pass.
SLACK, SLACK_SHARE = (5.0, 30.0), 0.1
TRUSTED_LOG = "harness.log"  # what the meter and the scorer say when they fail


@dataclass(frozen=True, slots=True)
class Crew:
    """The running processes of an experiment, and the ends of their lines that the runner holds."""

    meter: process.Supervised
    scorer: process.Supervised
    candidate: process.Supervised
    meter_control: socket.socket  # reports of the meter
    scorer_control: socket.socket  # reports of the scorer; one byte to it means: begin
    output: int  # what the candidate prints; non-blocking
    status: int  # what bubblewrap says about itself; non-blocking
    launched: float  # on the monotonic clock
    strangers: frozenset[int]  # children that we had before
    kernels: compilecache.Loan  # what the candidate compiles
    job: Path  # where the candidate works
    replay: bool  # nothing is trained: the weights are committed already
    audit: bool = False  # and are examined, not scored
    speed: float = 0.0  # tokens a second of their training, where a replay is scored
    smoke: bool = False  # a few steps on rows of nothing, and an evaluation that scores nothing
    on_gpu: bool = False
    stuck: list[int] = field(default_factory=list)  # processes that SIGKILL did not end

    def written(self) -> int:
        """Bytes of files on our disk that the candidate may write: its kernels, and where it has no /tmp its job."""
        places = (self.kernels.folder, self.job)
        return sum(compilecache.extent(place)[1] for place in places)

    def end_candidate(self) -> None:
        """Kill the candidate and whatever descends from it; returns when all are gone.

        Raises HarnessError when some stay, which only a system call that never returns can bring about.
        """
        if not self.stuck:
            self.candidate.kill()
            self.stuck.extend(process.sweep({*self.strangers, self.meter.pid, self.scorer.pid}))
        if self.stuck:
            where = "the driver of the GPU" if self.on_gpu else "the kernel"
            raise HarnessError(
                f"{len(self.stuck)} processes of the script hang in {where} and cannot be killed "
                f"(pid {self.stuck[0]}); restart the machine when they do not end by themselves.",
                Cause.DEVICE_HUNG if self.on_gpu else Cause.NONE,
            )


@dataclass(frozen=True, slots=True)
class Replay:
    """What a training has left: committed weights, from which a replay of the script goes on.

    With a claimed score it is a blind audit of that. Without one, the runner died before there was any: the weights are
    scored, for the first time.
    """

    weights: int  # descriptor of the committed weights
    weights_sha256: str
    claimed_bpb: float | None = None
    probes: int = 0  # how closely an audit looks
    speed: float = 0.0  # tokens a second of the training; a scoring must not fall below it

    @property
    def audit(self) -> bool:
        """Whether there is a score to examine."""
        return self.claimed_bpb is not None


@contextlib.contextmanager
def launch(
    spec: ExperimentSpec,
    dataset: Dataset,
    directory: Path,
    nats: int | None = None,
    replay: Replay | None = None,
) -> Iterator[Crew]:
    """Start an experiment in `directory`, or the `replay` of one. Raises HarnessError when that is impossible.

    `nats`: a store for the loss of every validation token; a training fills it, a replay reads it.
    """
    strangers = frozenset(process.descendants(os.getpid()))
    with contextlib.ExitStack() as stack:
        process.adopt_orphans(True)  # a script that flees into the background stays in reach
        stack.callback(process.adopt_orphans, False)
        folders = _Folders(directory)
        stack.callback(folders.clear)
        folders.fill(spec, dataset)
        trusted = spec.cache == "write"
        root = cache_dir() / "compile"
        kernels = compilecache.borrow(
            root, spec.source, folders.kernels, trusted=trusted, kin=spec.kin
        )
        log = stack.enter_context((directory / TRUSTED_LOG).open("wb"))
        if spec.device != "cpu" and (bare := bytecode.missing()):
            bytecode.write(bare)  # once in the life of an installation, and many seconds a training
        # The trusted children first, so that the candidate never waits for its data.
        gpu = _gpu_environment(spec)
        lent = (replay.weights,) if replay else ()
        job = _meter_job(spec, dataset, replay)
        meter = _trusted(stack, "meter", job, log.fileno(), gpu, lent)
        scorer = _examiner(stack, spec, dataset, nats, replay, log.fileno(), gpu)
        output, output_end = _pipe(stack)
        status, status_end = _pipe(stack)
        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, process.PIPE_SIZE)
        launched = time.monotonic()
        try:
            ends = (meter.guest.fileno(), scorer.guest.fileno())
            candidate = _candidate(
                spec, dataset, folders, kernels, ends, output_end, status_end, replay=bool(replay)
            )
        finally:
            os.close(output_end)
            os.close(status_end)
            meter.guest.close()
            scorer.guest.close()
        stack.callback(candidate.close)
        crew = Crew(
            meter=meter.process,
            scorer=scorer.process,
            candidate=candidate,
            meter_control=meter.control,
            scorer_control=scorer.control,
            output=output,
            status=status,
            launched=launched,
            strangers=strangers,
            kernels=kernels,
            job=folders.job,
            replay=bool(replay),
            audit=bool(replay and replay.audit),
            speed=replay.speed if replay else 0.0,
            smoke=bool(spec.smoke_steps),
            on_gpu=spec.device != "cpu",
        )
        stack.callback(crew.end_candidate)
        yield crew


def eval_rows(spec: ExperimentSpec, dataset: Dataset) -> int:
    """Validation rows to score: whole ones, at least one."""
    if not spec.eval_tokens:
        return dataset.val_rows
    return min(dataset.val_rows, max(1, spec.eval_tokens // dataset.sequence_length))


@dataclass(frozen=True, slots=True)
class _Folders:
    """The candidate's folders on this side."""

    directory: Path

    @property
    def job(self) -> Path:
        return self.directory / "job"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def nothing(self) -> Path:
        return self.directory / "nothing"

    @property
    def kernels(self) -> Path:
        return self.directory / "kernels"

    def fill(self, spec: ExperimentSpec, dataset: Dataset) -> None:
        """Script, tokenizer and byte table; the rows come through the meter."""
        self.clear()
        for folder in (self.job, self.data, self.nothing):
            folder.mkdir()
        (self.job / spec.script).write_text(spec.source, encoding="utf-8")
        shutil.copyfile(dataset.path / "tokenizer.json", self.data / "tokenizer.json")
        shutil.copyfile(_byte_table(spec, dataset), self.data / "token_bytes.npy")

    def clear(self) -> None:
        for name in rundir.WORKING:
            shutil.rmtree(self.directory / name, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Trusted:
    process: process.Supervised
    control: socket.socket
    guest: socket.socket  # the candidate's end


def _trusted(
    stack: contextlib.ExitStack,
    name: str,
    job: dict[str, Any],
    log: int,
    env: dict[str, str],
    stores: tuple[int, ...] = (),
) -> _Trusted:
    """Start the meter or an examiner with its end of two lines, and the descriptors that its job names."""
    control, control_theirs = wire.pair()
    guest, guest_theirs = wire.pair()
    stack.callback(control.close)
    stack.callback(guest.close)
    with control_theirs, guest_theirs:
        descriptors = {"control": control_theirs.fileno(), "guest": guest_theirs.fileno()}
        text = json.dumps(job | descriptors)
        passed = (*descriptors.values(), *stores)
        child = process.spawn_trusted(f"harness.{name}", text, passed, log, env)
    stack.callback(child.close)
    control.setblocking(False)
    return _Trusted(child, control, guest)


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe whose reading end is ours and never blocks."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    stack.callback(os.close, ours)
    os.set_blocking(ours, False)
    return ours, theirs


def _meter_job(spec: ExperimentSpec, dataset: Dataset, replay: Replay | None) -> dict[str, Any]:
    facts = {"weights": replay.weights, "sha256": replay.weights_sha256} if replay else None
    return {
        "rows": str(dataset.path / "train.bin"),
        "count": dataset.train_rows,
        "length": dataset.sequence_length,
        "seed": spec.seed,
        "budget": asdict(spec.budget),
        "replay": facts,
        "smoke": bool(spec.smoke_steps),
    }


def _examiner(
    stack: contextlib.ExitStack,
    spec: ExperimentSpec,
    dataset: Dataset,
    nats: int | None,
    replay: Replay | None,
    log: int,
    env: dict[str, str],
) -> _Trusted:
    """Start the scorer, or who speaks like it: the auditor of a replay, the examiner of a smoke run."""
    job = {
        "val": {
            "path": str(dataset.path / "val.bin"),
            "stored": dataset.val_rows,
            "count": eval_rows(spec, dataset),
        },
        "sealed": {
            "path": str(dataset.path / "sealed.bin"),
            "stored": dataset.sealed_rows,
            "count": dataset.sealed_rows if spec.sealed else 0,
        },
        "length": dataset.sequence_length,
        "vocabulary": dataset.vocabulary,
        "byte_table": str(_byte_table(spec, dataset)),
        "device": spec.device,
        "threads": spec.limits.threads,
        "nats": nats,
        "slack": min(SLACK[1], max(SLACK[0], SLACK_SHARE * spec.budget.amount)),
    }
    if replay and replay.audit:
        facts = {"probes": replay.probes, "claimed": replay.claimed_bpb}
        job |= facts | {"tolerance": spec.audit.tolerance}
    if spec.smoke_steps:  # no row of the validation comes near it
        job |= {"rows": str(dataset.path / "train.bin"), "stored": dataset.train_rows}
        job |= {"count": eval_rows(spec, dataset), "seed": spec.seed}
        del job["val"], job["sealed"]
    stores = () if nats is None else (nats,)
    audited = replay is not None and replay.audit
    name = "auditor" if audited else "smokescorer" if spec.smoke_steps else "scorer"
    return _trusted(stack, name, job, log, env, stores)


def _byte_table(spec: ExperimentSpec, dataset: Dataset) -> Path:
    return dataset.path / f"token_bytes_{spec.byte_count}.npy"


def _candidate(
    spec: ExperimentSpec,
    dataset: Dataset,
    folders: _Folders,
    kernels: compilecache.Loan,
    ends: tuple[int, int],
    output: int,
    status: int,
    *,
    replay: bool,
) -> process.Supervised:
    """Start the script in its cell, with `ends` as its lines to meter and scorer."""
    guest = Mount(Path(__file__).resolve().parent / "guest", "/guest")
    data = Mount(folders.data, "/data")
    compiled = Mount(kernels.folder, "/compile", writable=True)  # a copy of its own
    script = Mount(folders.job / spec.script, f"{sandbox.JOB}/{spec.script}")
    # Over packages that hold the validation text: they are part of this Python, and no training needs them.
    hidden = private_paths(dataset.manifest.get("private", ()))
    covers = [Mount(folders.nothing, str(path)) for path in hidden]
    environment = {
        **process.machine_env(),
        **_gpu_environment(spec),
        **_environment(spec, folders.job),
        **_facts(spec, dataset),
        "PYTHONPATH": guest.seen(spec.sandbox),
        # Sixteen processes that wait for something to compile only slow down a start that finds it compiled.
        "TORCH_WARM_POOL": "0" if kernels.warm else "1",
        "TORCHINDUCTOR_CACHE_DIR": f"{compiled.seen(spec.sandbox)}/inductor",
        "TRITON_CACHE_DIR": f"{compiled.seen(spec.sandbox)}/triton",
        "FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED": "1",  # where FlashAttention 4 is installed
        "FLASH_ATTENTION_CUTE_DSL_CACHE_DIR": f"{compiled.seen(spec.sandbox)}/flash",
        "AUTORESEARCH_DATA": data.seen(spec.sandbox),
        "AUTORESEARCH_METER": str(ends[0]),
        "AUTORESEARCH_SCORER": str(ends[1]),
        reaper.RUNNER: identity.me(),
        **({"AUTORESEARCH_REPLAY": "1"} if replay else {}),
        **({"AUTORESEARCH_SMOKE": str(spec.smoke_steps)} if spec.smoke_steps else {}),
    }
    gpu = gpu_of(spec.device, detect())
    try:
        with sandbox.command(
            spec.sandbox,
            [sys.executable, "-P", "-B", spec.script],
            folder=folders.job,
            mounts=(*covers, guest, data, compiled, script),
            environment=environment,
            gpu=gpu is not None,
            node=device.node(gpu.index) if gpu else None,
            status_fd=status,
        ) as cell:
            return process.Supervised(
                cell.argv,
                env=cell.environment,
                cwd=folders.job,
                output=output,
                pass_fds=(*ends, *cell.descriptors),
                bounds=Bounds(spec.limits.memory_mb),
            )
    except OSError as fault:
        raise HarnessError(
            f"The candidate could not be started: {fault}; `autoresearch doctor` looks for the cause."
        ) from fault


def _environment(spec: ExperimentSpec, job: Path) -> dict[str, str]:
    """What every program expects; nothing of it comes from our own environment."""
    cell = spec.sandbox == BUBBLEWRAP
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp/home" if cell else str(job),  # noqa: S108 - a private tmpfs
        "TMPDIR": "/tmp" if cell else str(job),  # noqa: S108
        "USER": "candidate",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": str(spec.seed % 2**32),
    }
    if spec.limits.threads:
        environment["OMP_NUM_THREADS"] = str(spec.limits.threads)
    return environment


def _gpu_environment(spec: ExperimentSpec) -> dict[str, str]:
    """The one GPU of the experiment, or none."""
    gpu = gpu_of(spec.device, detect())
    visible = "" if gpu is None else str(gpu.index)
    if gpu and gpu.index and gpu.uuid:
        visible = gpu.uuid  # in a cell that shows one GPU alone, that is the first
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": visible}


def _facts(spec: ExperimentSpec, dataset: Dataset) -> dict[str, str]:
    """What the guest module turns into the ancestor's constants."""
    budget = spec.budget
    seconds = budget.amount if budget.kind == "seconds" else spec.limits.wall_seconds
    return {
        "AUTORESEARCH_EXPERIMENT": spec.name,
        "AUTORESEARCH_SEED": str(spec.seed),
        "AUTORESEARCH_DEVICE": "cpu" if spec.device == "cpu" else "cuda",
        "AUTORESEARCH_TIME_BUDGET": str(seconds),
        "AUTORESEARCH_SEQUENCE_LENGTH": str(dataset.sequence_length),
        "AUTORESEARCH_VOCABULARY": str(dataset.vocabulary),
        "AUTORESEARCH_BOS": str(dataset.bos_id),
        "AUTORESEARCH_EVAL_TOKENS": str(eval_rows(spec, dataset) * dataset.sequence_length),
    }
