"""docs/export.md, made from the code: what can be exported, and every column with its type, unit and meaning.

`python -m evolve.export.page --write docs/export.md` writes it; a test holds it against the code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from evolve.export.columns import KINDS as TYPES
from evolve.export.columns import Column
from evolve.export.registry import KINDS
from evolve.export.results import COLUMNS
from evolve.export.tables import TABLES

HEAD = """# Taking everything along

Written by `python -m evolve.export.page --write docs/export.md` from the code itself.

`autoresearch export WHAT [FILE]` writes what a run has come to. The end of FILE's name says in which form. All of it is of
one instant, also while the run goes on. What is being written lies under a hidden name until it is complete, so an export
that fails or is interrupted leaves nothing, and what is there stays unless you say `--replace`.

```bash
autoresearch export results                               # RUN-results.tsv, as the ancestor writes it
autoresearch export results night.csv --since 2h --kept-only
autoresearch export results night.parquet --category optimizer
autoresearch export results - | column -ts $'\\t'          # to another program
autoresearch export data night                            # a folder of Parquet files
```

`--since` takes how long ago (`2h`, `30m`, `1d`), a time (`2026-11-21 22:00`, local unless it names a zone) or a candidate
(`#17`); `--kept-only` lets only the baseline, the promoted and the kept come along, `--category` only one kind of idea. They
are for tables: rows of trainings, curves, calls and events come along where their candidate does.

Texts of models, scripts and people are data. In CSV no cell breaks a line, none holds a control character, and one that a
spreadsheet would take for a formula begins with `'`; JSON Lines and Parquet keep every character. Credentials that this
machine knows, and whatever looks like a key, are taken out of all texts.

## And back

```bash
autoresearch import night elsewhere                       # the folder of `export data`, or of `export all`
autoresearch import night.jsonl elsewhere
autoresearch import results.tsv --branch autoresearch/mar8
```

An import makes the same journal: exported again, it gives the same JSON Lines to the byte and the same tables. The app,
`status`, `show`, `replay` and every export work on it; it never goes on, and a run that is there is never touched. A run that
was still going on has stopped, and its open training is void. Scripts live in git, not in the tables: import into a clone
of the repository, and diffs work too. Nothing in an export is trusted: every cell is looked at, the journal is examined as a
whole before it appears, and no name in it becomes a path.

The ancestor's results.tsv becomes a finished run as well: a candidate a row, its parent what was kept last before it, keep as
promoted, discard as rejected, crash as failed. Commits are found by their seven digits on the branch, or among what git
still has; one that is gone keeps its digits, and has no script. It was one training each by a greedy rule, so nothing in it is
confirmed, and the run says so.

## Forms
"""

READING = """
## Reading the tables

```python
import pandas as pd

runs = pd.read_parquet("night/experiments.parquet")
people = pd.read_parquet("night/candidates.parquet").set_index("id")
joined = runs.join(people[["operator", "category"]], on="candidate")
joined.groupby("operator")["val_bpb"].describe()
```

In Parquet an instant is a timestamp in UTC to the nanosecond (microseconds would not give back the journal's number), a word
is a dictionary, a list a list; units and meanings stand in the fields' metadata (`pyarrow.parquet.read_schema`), the version of
the layout and the run in the schema's. In JSON Lines the first line says what the file is and names the columns; every
other line is an array, the table's name and then the cells in the order of its columns. There an instant is in unix seconds, and
an infinite number is the word `inf` or `-inf`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join((HEAD, *_forms(), READING, *_tables())).rstrip() + "\n"


def _forms() -> Iterator[str]:
    yield "| what | | form | |"
    yield "|---|---|---|---|"
    for kind in KINDS:
        for at, form in enumerate(kind.forms):
            first = (f"`{kind.name}`", kind.about) if at == 0 else ("", "")
            suffix = f"`{form.suffix}`" if form.suffix else "a folder"
            yield f"| {first[0]} | {first[1]} | {suffix} | {form.about} |"


def _tables() -> Iterator[str]:
    yield "## `results`\n"
    yield "A row a candidate, in `.csv`, `.jsonl` and `.parquet`. `.tsv` is the ancestor's table: commit, val_bpb, memory_gb, status"
    yield "(keep, discard, crash) and description, with 0.000000 and 0.0 for a crash.\n"
    yield from _columns(column for column, _ in COLUMNS)
    yield "\n## `data`\n"
    yield "Every table of the journal. A type with a `?` may be empty; ° marks what is computed for readers, and again after an"
    yield "import."
    for table in TABLES:
        yield f"\n### {table.name}\n\n{table.about[:1].upper()}{table.about[1:]}.\n"
        yield from _columns(table.columns)
    yield "\n## Types\n"
    yield "| type | |"
    yield "|---|---|"
    yield from (f"| {name} | {about} |" for name, about in TYPES.items())


def _columns(columns: Iterable[Column]) -> Iterator[str]:
    yield "| column | type | unit | |"
    yield "|---|---|---|---|"
    for column in columns:
        mark = "°" if column.derived else ""
        unit = "" if column.kind == "time" else column.unit
        about = column.about.replace("|", r"\|")
        yield f"| `{column.name}`{mark} | {column.type} | {unit} | {about} |"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        Path(sys.argv[2]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
