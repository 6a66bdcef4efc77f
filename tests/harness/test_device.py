"""What is known about the machine, with and without a GPU, and what a score is comparable with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import device
from harness.dataset import load_dataset
from harness.spec import Budget, ExperimentSpec, HarnessError


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
    tool.write_text(
        "#!/bin/sh\necho 'NVIDIA H100, 81559, 570.1, GPU-aa'\necho 'NVIDIA A2, [N/A], 570.1, GPU-bb'\n"
    )
    tool.chmod(0o755)
    code = "from harness.device import detect; print([(g.index, g.name, g.memory_mb) for g in detect().gpus])"

    def detected(**environment: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path), **environment},
            capture_output=True,
            text=True,
        ).stdout.strip()

    both = "[(0, 'NVIDIA H100', 81559), (1, 'NVIDIA A2', 0)]"
    assert detected() == both
    # What the user keeps from us stays untouched.
    assert detected(CUDA_VISIBLE_DEVICES="1") == "[(1, 'NVIDIA A2', 0)]"
    assert detected(CUDA_VISIBLE_DEVICES="GPU-aa") == "[(0, 'NVIDIA H100', 81559)]"
    assert detected(CUDA_VISIBLE_DEVICES="") == "[]"
    assert detected(CUDA_VISIBLE_DEVICES="0,7") == "[(0, 'NVIDIA H100', 81559)]"


def test_without_the_python_binding_a_gpu_in_use_is_seen_too(tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text("raise ImportError('not installed')")
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "*--query-compute-apps=pid,process_name*--id=1*)\n"
        "  echo '4711, /opt/my tools/python3'; echo '4712, odd, name';;\n"
        "*--query-compute-apps*--id=7*) echo 'No devices were found'; exit 6;;\n"
        "esac\n"
    )
    tool.chmod(0o755)
    code = "from harness.device import busy, node; print([busy(n) for n in (0, 1, 7)], node(0))"

    def answer(path: Path) -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(tmp_path), "PATH": f"{path}:{os.defpath}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert answer(tmp_path) == "[[], ['python3 (pid 4711)', 'name (pid 4712)'], []] None"
    tool.unlink()
    if shutil.which("nvidia-smi", path=os.defpath) is None:
        assert answer(tmp_path) == "[[], [], []] None"


def test_the_memory_in_use_on_a_gpu_is_measured_where_the_driver_tells(tmp_path: Path) -> None:
    """By everybody on it: a training has the GPU to itself, and what it says about itself does not count."""
    (tmp_path / "pynvml.py").write_text(
        "class NVMLError(Exception): pass\n"
        "class Memory: used = 3 << 30\n"
        "def nvmlInit(): pass\n"
        "def nvmlDeviceGetHandleByIndex(index):\n"
        "    if index: raise NVMLError('no such GPU')\n"
        "def nvmlDeviceGetMemoryInfo(gpu): return Memory\n"
    )
    code = "from harness.device import memory_used_mb; print(memory_used_mb(0), memory_used_mb(1))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "3072.0 None"


def test_cuda_n_is_the_nth_gpu_that_is_visible() -> None:
    gpus = tuple(device.Gpu(index, "H100", 1, "570", "") for index in (2, 5))
    machine = replace(device.detect(), gpus=gpus)
    assert device.gpu_of("cpu", machine) is None
    assert device.gpu_of("cuda", machine) == gpus[0]
    assert device.gpu_of("cuda:1", machine) == gpus[1]
    with pytest.raises(HarnessError, match="no cuda:2 here"):
        device.gpu_of("cuda:2", machine)


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
