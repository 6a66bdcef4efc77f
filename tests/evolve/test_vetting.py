"""What is rejected before it costs a second of training, and what counts as the same code."""

import random
from pathlib import Path

import pytest

from evolve.propose.lint import lint, linter, ruff_executable
from evolve.propose.vetting import code_hash, normalise, vet

PLAIN = Path(__file__).with_name("plain_train.txt").read_text()  # in the ancestor's manner
OURS = (Path(__file__).parents[2] / "trainer" / "train.py").read_text()


def with_line(line: str) -> str:
    """The plain script with one more statement after its imports."""
    return PLAIN.replace("@dataclass\n", f"{line}\n\n\n@dataclass\n", 1)


def kinds(source: str) -> set[str]:
    return {problem.kind for problem in vet(source)}


@pytest.mark.parametrize("source", [PLAIN, OURS], ids=["ancestor-style", "ours"])
def test_honest_scripts_pass(source: str) -> None:
    assert vet(source) == []


def test_a_syntax_error_is_named_with_its_line() -> None:
    (problem,) = vet("import torch\nx = = 3\n")
    assert problem.kind == "syntax"
    assert str(problem).startswith("line 2: it is not valid Python")


@pytest.mark.parametrize("source", ["x = 1\0", "x = " + "-" * 9000 + "1", "x=" + "1+" * 9000 + "1"])
def test_what_breaks_the_parser_is_a_problem_and_not_a_crash(source: str) -> None:
    assert vet(source)


@pytest.mark.parametrize(
    "line",
    [
        "import subprocess",
        "import socket as s",
        "import ctypes",
        "from urllib.request import urlopen",
        "import requests",
        "import multiprocessing",
        "import builtins",
        "from . import prepare",
        "import torch.utils.cpp_extension",
        "from torch.utils import cpp_extension",
    ],
)
def test_imports_that_a_training_script_does_not_need(line: str) -> None:
    assert kinds(with_line(line)) <= {"import", "call"}
    assert vet(with_line(line))


@pytest.mark.parametrize(
    "line",
    [
        "os.system('true')",
        "os.remove('x')",
        "from os import popen",
        "import importlib\nimportlib.import_module('socket')",
        "import importlib.util as u\nu.module_from_spec(None)",
        "eval('1')",
        "exec('x = 1')",
        "run = exec",
        "compile('1', 'x', 'eval')",
        "open('weights.bin', 'wb')",
        "__import__('socket')",
        "torch.load('weights.pt')",
        "torch.hub.load('a/b', 'c')",
        "gc.get_objects()",
        "import sys\nsys.modules['prepare'] = None",
        "().__class__.__base__.__subclasses__()",
        "import prepare\nprepare.TIME_BUDGET = 900",
        "import prepare\nprepare._socket",
        "from prepare import _wire",
        "rows = make_dataloader(None, 1, 1, 'val')",
        "rows = make_dataloader(None, 1, 1, split='val')",
    ],
)
def test_calls_that_a_training_script_does_not_need(line: str) -> None:
    assert {"call"} == kinds(with_line(line))


@pytest.mark.parametrize(
    "line",
    [
        "threads = os.environ.get('OMP_NUM_THREADS', os.cpu_count())",
        "step = torch.compile(F.relu) if hasattr(torch, 'compile') else F.relu",
        "from importlib.util import find_spec\nhas_fa3 = find_spec('flash_attn_interface')",
        "import sys\nsys.stdout.flush()",
        "def double(input):\n    return input * 2",
        "import threading, functools, itertools",
        "import triton\nimport triton.language as tl",
        "import numpy as np",
    ],
)
def test_what_training_scripts_do_need_passes(line: str) -> None:
    source = with_line(line)
    assert [str(p) for p in vet(source)] == []


def test_a_script_that_leaves_the_contract_is_rejected() -> None:
    assert [p.what for p in vet(PLAIN.replace("evaluate_bpb", "score"))] == [
        "it never calls evaluate_bpb"
    ]
    assert "it does not import from prepare" in [
        p.what for p in vet(PLAIN.replace("from prepare", "from torch"))
    ]


def test_size_and_smuggled_data_are_capped() -> None:
    noise = "".join(random.Random(1).choices("abcdefghijklmnop", k=3000))
    assert kinds(with_line(f"blob = '{noise}'")) == {"literal"}
    assert kinds(with_line(f"blob = b'{noise}'")) == {"literal"}
    assert kinds(with_line(f"blob = {[0.5] * 2000}")) == {"literal"}
    assert kinds(with_line(f"blob = 0x{'f' * 6000}")) == {"syntax"}
    assert kinds(PLAIN + "\n# padding" * 7000) == {"size"}


def test_a_child_may_go_on_doing_what_its_parent_does() -> None:
    parent = with_line("import einops")
    assert vet(parent)
    assert vet(parent + "\nx = 1\n", [parent]) == []
    assert [p.what for p in vet(parent + "\nimport socket\n", [parent])] == [
        "it imports socket, which a candidate may not"
    ]


def test_undefined_names_are_found_with_ruff_and_without_it() -> None:
    source = with_line("print(WIDHT)")
    line = source.splitlines().index("print(WIDHT)") + 1
    assert linter() in {"ruff", "compile"}
    for ruff in {ruff_executable(), None}:
        ((what, where),) = lint(source, ruff)
        assert "WIDHT" in what
        assert where == line
        assert lint(PLAIN, ruff) == lint(OURS, ruff) == ()
        assert lint("def f():\n    global n\n    n = 1\nprint(n, __name__)\n", ruff) == ()
        assert lint("x = 1\nreturn x\n", ruff)


@pytest.mark.parametrize("source", [PLAIN, OURS], ids=["ancestor-style", "ours"])
def test_comments_docstrings_layout_and_seeds_are_no_new_code(source: str) -> None:
    variants = [
        source + "\n# a comment\n",
        '"""Another docstring."""\n' + source,
        source.replace("\n\n\n", "\n\n\n\n\n"),
        source.replace("    def forward(", '    "said twice"\n\n    def forward('),
        source.replace("manual_seed(42)", "manual_seed(1337)"),
    ]
    assert {code_hash(variant) for variant in variants} == {code_hash(source)}
    assert code_hash(source + "\nx = 1\n") != code_hash(source)


def test_seeds_are_normalised_wherever_they_stand() -> None:
    template = "SEED = {n}\ntorch.cuda.manual_seed_all({n})\ng = make(seed={n}, size=3)\n"
    assert code_hash(template.format(n=1)) == code_hash(template.format(n=99))
    assert code_hash("SIZE = 1\n") != code_hash("SIZE = 2\n")


def test_normal_code_stays_valid_when_only_a_docstring_was_in_it() -> None:
    source = (
        'def f():\n    """Only words."""\n\nclass A:\n    "x"\n\nif f:\n    "y"\nelse:\n    "z"\n'
    )
    assert compile(normalise(source), "x", "exec")
    assert "words" not in normalise(source)
