"""The lineage as graphs that other programs read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, BinaryIO

from evolve.export.results import records

if TYPE_CHECKING:
    from evolve.export.gather import Gathered


def write_json(gathered: Gathered, file: BinaryIO) -> None:
    """Node-link JSON: a node for each candidate, a link from each parent to its child."""
    links = [
        {"source": parent, "target": c.id, "parent": "first" if place == 0 else "second"}
        for c in gathered.candidates
        for place, parent in enumerate(c.parents)
    ]
    run = {"run": gathered.run.name, "main": gathered.run.incumbent, "sigma": gathered.run.sigma}
    nodes = list(records(gathered))
    graph = {"directed": True, "multigraph": False, "graph": run, "nodes": nodes, "links": links}
    text = json.dumps(graph, ensure_ascii=False, indent=1) + "\n"
    file.write(text.encode("utf-8", "backslashreplace"))
