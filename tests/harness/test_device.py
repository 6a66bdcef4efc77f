"""What is known about the machine, with and without a GPU, and what a score is comparable with."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from harness import device
from harness.dataset import load_dataset
from harness.spec import Budget, ExperimentSpec


def test_the_machine_is_detected() -> None:
    machine = device.detect()
    assert machine.cpus == len(os.sched_getaffinity(0))
    assert machine.memory_mb > 100
    assert machine.cpu
    for gpu in machine.gpus:
        assert gpu.name
        assert gpu.memory_mb > 0


def test_a_gpu_that_is_not_there_tells_nothing() -> None:
    assert device.telemetry(99) is None
    assert device.busy(99) == []


def test_without_the_python_binding_nvidia_smi_is_asked(tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text("raise ImportError('not installed')")
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559, 570.1'\necho 'NVIDIA A2, [N/A], 570.1'\n")
    tool.chmod(0o755)
    code = "from harness.device import detect; print([(g.name, g.memory_mb, g.driver) for g in detect().gpus])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[('NVIDIA H100', 81559, '570.1'), ('NVIDIA A2', 0, '570.1')]\n"


def test_devices_are_numbered() -> None:
    assert device.gpu_index("cuda") == 0
    assert device.gpu_index("cuda:3") == 3


def test_the_fingerprint_changes_with_what_makes_scores_incomparable(
    tiny_spec: ExperimentSpec,
) -> None:
    dataset = load_dataset(Path(tiny_spec.dataset))
    facts = device.fingerprint(tiny_spec, dataset)
    assert facts == device.fingerprint(replace(tiny_spec, seed=99, source="other"), dataset)
    for changed in (
        replace(tiny_spec, budget=Budget("seconds", 5)),
        replace(tiny_spec, byte_count="upstream"),
        replace(tiny_spec, sandbox="bubblewrap"),
        replace(tiny_spec, eval_tokens=5),
    ):
        assert facts != device.fingerprint(changed, dataset)
    assert all(isinstance(value, str) and value for value in facts.values())


def test_the_runner_is_light() -> None:
    """Neither the engine nor a client pays for torch because it imports these."""
    code = """
import sys
import harness.rundir, harness.live, harness.sandbox, harness.device
assert not {'torch', 'numpy'} & sys.modules.keys(), 'numpy'
import harness.experiment
assert 'torch' not in sys.modules, 'torch'
"""
    subprocess.run([sys.executable, "-c", code], check=True)
