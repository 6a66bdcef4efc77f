"""What a candidate may import, call and weigh: the tables behind `vetting`, and nothing else."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MAX_BYTES = 64 * 1024
MAX_LINES = 1500
MAX_LITERAL = 2048  # characters of one string; a training script needs no longer one
MAX_ITEMS = 1000  # of one list, tuple or set display

# torch and what it is used with, the ancestor's kernel hub, and the harmless part of the standard library.
ALLOWED_MODULES = _words(
    """
    torch prepare numpy triton kernels flash_attn flash_attn_interface flash_attention_4 safetensors
    __future__ abc bisect collections contextlib copy dataclasses enum functools gc heapq importlib inspect
    itertools json logging math numbers operator os platform queue random re statistics string sys textwrap
    threading time traceback types typing typing_extensions warnings
    """
)

# Modules of which only these names may be used.
ALLOWED_OF: dict[str, frozenset[str]] = {
    "os": frozenset(
        {"environ", "getenv", "path", "cpu_count", "sched_getaffinity", "process_cpu_count"}
    ),
    "sys": frozenset(
        {
            "stdout",
            "stderr",
            "exit",
            "argv",
            "float_info",
            "maxsize",
            "version_info",
            "platform",
            "version",
        }
    ),
    "gc": frozenset(
        {"collect", "freeze", "unfreeze", "disable", "enable", "isenabled", "set_threshold"}
    ),
    "importlib": frozenset({"util"}),
    "importlib.util": frozenset({"find_spec"}),
}

FORBIDDEN_DOTTED = _words(
    """
    torch.hub torch.load torch.save torch.ops.load_library torch.classes.load_library
    torch.utils.cpp_extension torch.utils.model_zoo torch.multiprocessing torch.package
    numpy.ctypeslib numpy.load numpy.save numpy.savez numpy.fromfile numpy.memmap numpy.loadtxt numpy.savetxt
    """
)

FORBIDDEN_NAMES = frozenset({"eval", "exec", "open", "__import__", "__builtins__"})
FORBIDDEN_CALLS = frozenset({"compile", "input", "breakpoint"})  # as names they may be variables

# The usual ways round a list of names.
FORBIDDEN_ATTRIBUTES = _words(
    """
    __subclasses__ __globals__ __builtins__ __code__ __closure__ __loader__ __import__
    f_locals f_globals f_back gi_frame tb_frame _getframe
    """
)

REQUIRED_CALLS = ("make_dataloader", "evaluate_bpb")
