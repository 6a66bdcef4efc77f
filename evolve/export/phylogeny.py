"""The lineage as biologists and people of artificial life read one: the ALife standard's table, and Newick.

The standard (https://alife-data-standards.github.io, Lalejini and others 2019) asks for `id` and `ancestor_list`, and knows
`origin_time` and `destruction_time`; everything else may follow under names of its own.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO

from evolve.export.escaping import newick, utf8
from evolve.export.nodes import FIELDS, nodes, spread, standing
from evolve.export.results import cell

if TYPE_CHECKING:
    from evolve.export.gather import Gathered
    from evolve.model import Candidate

_STANDARD = ("id", "ancestor_list", "origin_time", "destruction_time")
_TOLD = ("id", "parents", "created", "ended")  # the same facts under our names


def write_alife(gathered: Gathered, file: BinaryIO) -> None:
    """The ALife standard's phylogeny as CSV: times in unix seconds, `[none]` for a root, `inf` for those that still live."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="", write_through=True)  # fmt: skip
    rest = [column.name for column in FIELDS if column.name not in _TOLD]
    table = csv.writer(text, lineterminator="\n")
    table.writerow((*_STANDARD, *rest))
    for node in nodes(gathered):
        parents = list(dict.fromkeys(node["parents"]))
        ancestors = json.dumps(parents) if parents else "[none]"
        ended = "inf" if node["ended"] is None else node["ended"]
        table.writerow((node["id"], ancestors, node["created"], ended, *(cell(node[name]) for name in rest)))  # fmt: skip
    text.detach()


def write_newick(gathered: Gathered, file: BinaryIO) -> None:
    """The tree of first parents as one line of Newick: `c17` for #17, lengths in seconds from a parent's creation to its child's.

    Newick holds trees only: the second parent of a crossover is no branch, it stands in the comment behind the name
    (`second=c4`), beside the score, the verdict and the commit, in the form of NHX. Its reserved characters are
    percent-encoded. Several roots, as scripts of people make them, hang below one that has the run's name.
    """
    children: dict[int, list[int]] = {c.id: [] for c in gathered.everybody}
    roots = list[int]()
    for c in gathered.everybody:
        (children[c.parents[0]] if c.parents else roots).append(c.id)
    many = len(roots) > 1
    parts = ["("] if many else []
    for place, root in enumerate(roots):
        parts += [","] if place else []
        parts += _subtree(gathered, root, children)
    # A run's name has nothing in it that Newick reserves but, at most, blanks' underscores.
    parts.append(f")'{gathered.run.name}';\n" if many else ";\n")
    file.write(utf8("".join(parts)))


def _subtree(gathered: Gathered, root: int, children: dict[int, list[int]]) -> list[str]:
    """Its text in pieces; with a stack of its own, because a lineage may be deeper than Python's."""
    parts = list[str]()
    waiting: list[tuple[int, bool]] = [(root, False)]
    while waiting:
        number, is_open = waiting.pop()
        if number < 0:
            parts.append(",")
            continue
        young = children[number]
        if young and not is_open:
            parts.append("(")
            waiting.append((number, True))
            for place, child in enumerate(reversed(young)):
                waiting += [(-1, False)] if place else []
                waiting.append((child, False))
            continue
        parts += [")"] if young else []
        parts.append(_newick_node(gathered, gathered.candidate(number)))
    return parts


def _newick_node(gathered: Gathered, c: Candidate) -> str:
    length = max(0.0, c.created - gathered.candidate(c.parents[0]).created) if c.parents else 0.0
    belief = gathered.beliefs.get(c.id)
    facts: dict[str, Any] = {
        "operator": c.operator, "verdict": standing(c), "outcome": c.outcome, "val_bpb": c.mean, "val_bpb_sd": spread(c),
        "corrected": belief and belief.mean, "corrected_sd": belief and belief.sd, "category": c.category,
        "second": ",".join(f"c{p}" for p in c.parents[1:]) or None, "commit": c.commit, "created": c.created,
        "title": c.title,
    }  # fmt: skip
    told = "".join(f":{k}={newick(str(v))}" for k, v in facts.items() if v not in (None, ""))
    return f"c{c.id}:{length:.1f}[&&NHX{told}]"
