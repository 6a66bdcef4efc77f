"""What can be exported, once: kinds, the forms of each, and what writes them.

The command, its help, the app's question and docs/export.md are made from this list. It imports nothing heavy, because every
command starts through here; a writer is named as `module:function` and imported when it is needed. A writer of a file gets
what was gathered and an open binary file, one of a folder gets the path of a fresh folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from evolve.model import UsageError


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a kind: how its name ends, what it is, and who writes it."""

    suffix: str  # ".csv"; "" = a folder
    about: str  # "a table for spreadsheets"
    writer: str  # "evolve.export.results:write_csv"

    @property
    def is_folder(self) -> bool:
        """Is it a folder of files?"""
        return not self.suffix

    def load(self) -> Callable[[Any, Any], None]:
        """The function that writes it."""
        module, _, name = self.writer.partition(":")
        found: Callable[[Any, Any], None] = getattr(import_module(module), name)
        return found


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that can be exported."""

    name: str  # "results"
    about: str  # "every candidate, a table"
    told: str  # of what was written: "the results of {count}" or "the script of {main}, which main holds"
    forms: tuple[Form, ...]  # the usual one first
    selects: bool = False  # may only some of the candidates be asked for?

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How names of its files may end."""
        return tuple(form.suffix for form in self.forms)

    def form(self, suffix: str) -> Form:
        """The form whose names end like that. Raises UsageError where there is none."""
        for form in self.forms:
            if form.suffix == suffix.lower():
                return form
        if self.forms[0].is_folder and len(self.forms) == 1:
            raise UsageError(f"An export of {self.name} is a folder; name one without “{suffix}”.")
        ends = " or ".join(end for end in self.suffixes if end)
        folder = ", or names a folder" if "" in self.suffixes else ""
        raise UsageError(f"An export of {self.name} ends with {ends}{folder}, not with “{suffix}”.")  # fmt: skip


_ENDING = re.compile(r"(?<=.)(\.tar)?\.[a-z][a-z0-9]*$")

KINDS: tuple[Kind, ...] = (
    Kind(
        "results",
        "every candidate, a table",
        "the results of {count}",
        (
            Form(
                ".tsv",
                "the ancestor's results.tsv to the letter",
                "evolve.export.results:write_tsv",
            ),
            Form(".csv", "a row a candidate, for spreadsheets", "evolve.export.results:write_csv"),
            Form(".jsonl", "a JSON object a candidate", "evolve.export.results:write_jsonl"),
            Form(".parquet", "the same, typed", "evolve.export.parquet:write_results"),
        ),
        selects=True,
    ),
    Kind(
        "data",
        "every table of the journal, to look into and to import",
        "all data of {count}",
        (
            Form(
                "",
                "a Parquet file a table, typed, with units",
                "evolve.export.parquet:write_folder",
            ),
            Form(".jsonl", "the same as one text", "evolve.export.data:write_jsonl"),
        ),
        selects=True,
    ),
    Kind(
        "lineage",
        "parents and children, a graph",
        "the lineage of {count}",
        (
            Form(
                ".json",
                "a node-link graph, as D3 and NetworkX read it",
                "evolve.export.graphs:write_json",
            ),
            Form(
                ".graphml",
                "typed, for Gephi, yEd, igraph and NetworkX",
                "evolve.export.graphs:write_graphml",
            ),
            Form(".dot", "for Graphviz", "evolve.export.graphs:write_dot"),
            Form(".gv", "the same", "evolve.export.graphs:write_dot"),
            Form(".mmd", "for Mermaid in Markdown pages", "evolve.export.graphs:write_mermaid"),
            Form(".csv", "the ALife standard's phylogeny", "evolve.export.phylogeny:write_alife"),
            Form(
                ".nwk",
                "Newick, the tree of first parents",
                "evolve.export.phylogeny:write_newick",
            ),
            Form(".svg", "a picture: time across, score down", "evolve.export.svg:write_svg"),
        ),
    ),
    Kind(
        "generations",
        "the lineage by generation, a picture",
        "the generations of {count}",
        (
            Form(
                ".svg",
                "generation across, score down",
                "evolve.export.svg:write_svg_by_generation",
            ),
        ),
    ),
    Kind(
        "best",
        "the script that main holds",
        "the script of {main}, which main holds",
        (Form(".py", "train.py as it is", "evolve.export.best:write_script"),),
    ),
    Kind(
        "patches",
        "main's way, a patch a step for `git am`",
        "the steps of main up to {main}",
        (
            Form(
                "",
                "the patches, and what each step gained and whether it still earns its place",
                "evolve.export.patches:write_folder",
            ),
        ),
    ),
    Kind(
        "report",
        "the whole story on one page that needs no network",
        "the report of {count}",
        (Form(".html", "for any browser, and for paper", "evolve.export.report.page:write_html"),),
    ),
    Kind(
        "progress",
        "score over time with the confirmed best, a figure",
        "the progress of {count}",
        (
            Form(
                ".png",
                "as the ancestor's notebook draws it (needs the extra `plot`)",
                "evolve.export.picture:write_png",
            ),
            Form(".svg", "drawn without any library", "evolve.export.progress_svg:write_svg"),
        ),
    ),
    Kind(
        "all",
        "all of these at one instant, with prompts, settings and sums",
        "all of a run with {count}",
        (
            Form("", "with a README.md", "evolve.export.everything:write_folder"),
            Form(".tar.gz", "the folder, packed", "evolve.export.archives:write_tar"),
            Form(".zip", "the same for Windows", "evolve.export.archives:write_zip"),
        ),
    ),
)


def ending(path: Path) -> str:
    """How a name ends, in lower case: `.csv`, `.tar.gz`; `""` for that of a folder, also for one such as `v0.2-data`."""
    found = _ENDING.search(path.name.lower())
    return found[0] if found else ""


def kind_of(name: str) -> Kind:
    """The kind of that name. Raises UsageError where there is none."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    names = [kind.name for kind in KINDS]
    raise UsageError(f"“{name}” cannot be exported; say {', '.join(names[:-1])} or {names[-1]}.")


def default_name(kind: str, run: str, suffix: str | None = None) -> str:
    """`nov21-results.tsv`."""
    end = kind_of(kind).forms[0].suffix if suffix is None else suffix
    return f"{run}-{kind}{end}"
