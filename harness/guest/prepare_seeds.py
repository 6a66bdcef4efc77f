"""The seed is the experiment's: a number that is written into a script fixes nothing.

A script that seeds with 42 and one that seeds with 137 start from the same weights, and the next experiment from
others, so nobody wins by a lucky number. It must never touch a generator that a script makes for itself.
"""

from __future__ import annotations

import functools
import importlib
import random
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# What seeds a generator that everybody shares, by the module whose import brings it.
SEEDERS = {
    "random": ("random.seed",),
    "numpy.random": ("numpy.random.seed",),
    "torch": (
        "torch.random.manual_seed",
        "torch.manual_seed",
        "torch.cuda.random.manual_seed",
        "torch.cuda.manual_seed",
        "torch.cuda.random.manual_seed_all",
        "torch.cuda.manual_seed_all",
    ),
}


class Seeds(MetaPathFinder):
    """Seeds every shared generator as soon as it is there, and keeps it so.

    A script's number is a name and no more: the first one that it uses stands for the experiment's seed, each
    further one for another seed made from that, so that two different streams stay different and one that is
    begun again stays the same.
    """

    def __init__(self, seed: int) -> None:
        """Take over what is imported by now, and watch for the rest."""
        self._seed = seed
        self._names: dict[str, int] = {}  # the script's numbers, in the order of their first use
        self._inside = False  # torch seeds its parts through the same functions
        for module in SEEDERS:
            if module in sys.modules:
                self._take_over(module)
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Python's call for each import: a module that brings generators is taken over when it has loaded."""
        if name not in SEEDERS or not (spec := PathFinder.find_spec(name, path, target)):
            return None
        loader: Any = spec.loader
        load = loader.exec_module

        def load_and_take_over(module: ModuleType) -> None:
            load(module)
            self._take_over(name)

        loader.exec_module = load_and_take_over
        return spec

    def _take_over(self, module: str) -> None:
        replaced: dict[Any, Callable[..., Any]] = {}
        for path in SEEDERS[module]:
            home, _, name = path.rpartition(".")
            where = importlib.import_module(home)
            real = getattr(where, name)
            if not replaced:
                real(self._seed % 2**32)
            replaced[real] = replaced.get(real) or self._seeder(real)
            setattr(where, name, replaced[real])
        swap_in_script(replaced)

    def _seeder(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def seeder(*arguments: Any, **named: Any) -> Any:
            if self._inside:
                return real(*arguments, **named)
            self._inside = True
            try:
                return real(self._number(next(iter((*arguments, *named.values())), None)))
            finally:
                self._inside = False

        return seeder

    def _number(self, asked: object) -> int:
        """The seed, below 2³², that the script's own stands for."""
        if not self._names:
            words = f"prepare: seed {asked} replaced by the experiment's seed {self._seed}"
            print(words, flush=True)
        place = self._names.setdefault(repr(asked), len(self._names))
        if not place:
            return self._seed % 2**32
        return random.Random(f"{self._seed} {place}").getrandbits(32)  # noqa: S311 - no secret


def swap_in_script(replaced: dict[Any, Any]) -> None:
    """Let names that the script has imported by now mean the new functions, too: `from random import seed`."""
    script = vars(sys.modules["__main__"])
    for name, value in list(script.items()):
        for old, new in replaced.items():
            if value is old:
                script[name] = new
