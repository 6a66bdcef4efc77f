"""The lineage as graphs that other programs read and draw: node-link JSON, GraphML, DOT, Mermaid.

Each is written from `nodes`. JSON and GraphML are typed and hold every field; DOT holds them as attributes; Mermaid, which
pages of text draw, holds a label each and no more candidates than its readers take.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from evolve.export.escaping import dot, mermaid, utf8, xml
from evolve.export.nodes import FIELDS, Edge, about, edges, figure, nodes, standing
from evolve.model import Operator

if TYPE_CHECKING:
    from evolve.export.gather import Gathered
    from evolve.model import Candidate

# As Mermaid's own defaults, which a page cannot raise: beyond them it draws nothing at all.
MERMAID_LINKS, MERMAID_CHARACTERS = 500, 50_000
_SHAPES = {
    Operator.SEED: "doublecircle", Operator.MUTATE: "ellipse", Operator.REWRITE: "hexagon", Operator.CROSSOVER: "diamond",
    Operator.REPAIR: "octagon", Operator.TUNE: "box", Operator.HUMAN: "house",
}  # fmt: skip
# Fill, line and text of each verdict, by Okabe and Ito, whose colours most colour-blind people tell apart.
_PAINT = {
    "baseline": ("#0072b2", "#0072b2", "#ffffff"), "promoted": ("#0072b2", "#0072b2", "#ffffff"),
    "kept": ("#cfe8de", "#009e73", "#10241d"), "rejected": ("#f4f4f4", "#a8a8a8", "#555555"),
    "failed": ("#fbe3d6", "#d55e00", "#6b2f00"),
}  # fmt: skip
_OTHER = ("#ffffff", "#888888", "#444444")


def write_json(gathered: Gathered, file: BinaryIO) -> None:
    """Node-link JSON: a node for each candidate, an edge from each parent to its child.

    `networkx.node_link_graph(json.load(file), edges="edges")` reads it, and D3 takes `nodes` and `edges` as they are.
    """
    head = {"directed": True, "multigraph": False, "graph": about(gathered)}
    file.write(utf8(json.dumps(head, ensure_ascii=False)[:-1]))
    _list(file, "nodes", nodes(gathered))
    links = ({"source": e.parent, "target": e.child, "id": e.id, "kind": e.kind} for e in edges(gathered))  # fmt: skip
    _list(file, "edges", links)
    file.write(b"\n}\n")


def _list(file: BinaryIO, name: str, items: Iterator[dict[str, Any]]) -> None:
    file.write(f',\n"{name}": ['.encode())
    for place, item in enumerate(items):
        text = json.dumps(item, ensure_ascii=False, allow_nan=False)
        # A lone surrogate stays what it was as an escape of JSON.
        file.write((",\n" if place else "\n").encode() + text.encode("utf-8", "backslashreplace"))
    file.write(b"\n]")


# ---- GraphML -------------------------------------------------------------------------------------------------

_TYPES = {"int": "long", "float": "double", "time": "double", "bool": "boolean"}


def write_graphml(gathered: Gathered, file: BinaryIO) -> None:
    """GraphML with typed keys, as networkx, Gephi, yEd and igraph read it; what is unknown is left out."""
    write = _writer(file)
    write('<?xml version="1.0" encoding="UTF-8"?>')
    write('<graphml xmlns="http://graphml.graphdrawing.org/xmlns">')
    for column in FIELDS:
        if column.name != "id":
            kind = _TYPES.get(column.kind, "string")
            write(
                f'<key id="{column.name}" for="node" attr.name="{column.name}" attr.type="{kind}"/>'
            )
    write('<key id="kind" for="edge" attr.name="kind" attr.type="string"/>')
    facts = about(gathered)
    for name, value in facts.items():
        kind = "double" if isinstance(value, float) else "long" if isinstance(value, int) else "string"  # fmt: skip
        write(f'<key id="graph_{name}" for="graph" attr.name="{name}" attr.type="{kind}"/>')
    write(f'<graph id="{xml(gathered.run.name)}" edgedefault="directed">')
    write("".join(_data(f"graph_{name}", value) for name, value in facts.items()))
    for node in nodes(gathered):
        data = "".join(_data(name, value) for name, value in node.items() if name != "id")
        write(f'<node id="{node["id"]}">{data}</node>')
    for e in edges(gathered):
        write(f'<edge id="{e.id}" source="{e.parent}" target="{e.child}"><data key="kind">{e.kind}</data></edge>')  # fmt: skip
    write("</graph>\n</graphml>")


def _data(key: str, value: Any) -> str:
    return "" if value is None else f'<data key="{key}">{xml(_plain(value))}</data>'


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


# ---- DOT -----------------------------------------------------------------------------------------------------


def write_dot(gathered: Gathered, file: BinaryIO) -> None:
    """DOT for Graphviz: `dot -Tsvg` for some hundreds of candidates, `sfdp -Tsvg` for more."""
    write = _writer(file)
    write(f'digraph "{dot(gathered.run.name)}" {{')
    for name, value in about(gathered).items():
        write(f'  {name}="{dot(str(value))}";')
    write('  rankdir=LR; outputorder=edgesfirst; bgcolor="white"; tooltip="";')
    write('  node [fontname="Helvetica,Arial,sans-serif", fontsize=10, style=filled];')
    write('  edge [color="#999999", arrowsize=0.6];')
    way = set(gathered.main)
    for candidate, node in zip(gathered.candidates, nodes(gathered), strict=True):
        fill, line, ink = _PAINT.get(standing(candidate), _OTHER)
        looks = {
            "label": f"{candidate.label} {dot(candidate.title, 40)}\\n{dot(figure(candidate, gathered))}",
            "shape": _SHAPES[candidate.operator], "fillcolor": fill, "color": line, "fontcolor": ink,
            "tooltip": dot(f"{candidate.label} {candidate.title}"),
        }  # fmt: skip
        facts = {name: dot(_plain(value)) for name, value in node.items() if value is not None}
        facts["number"] = facts.pop("id")  # an id of Graphviz's own is that of an element
        inside = ", ".join(f'{name}="{value}"' for name, value in (looks | facts).items())
        write(f'  "{candidate.id}" [{inside}];')
    for e in edges(gathered):
        bold = ', color="#0072b2", penwidth=2.5' if e.parent in way and e.child in way else ""
        dashed = ", style=dashed, constraint=false" if e.kind == "second" else ""
        write(f'  "{e.parent}" -> "{e.child}" [kind={e.kind}{dashed}{bold}];')
    write("}")


# ---- Mermaid -------------------------------------------------------------------------------------------------


def write_mermaid(gathered: Gathered, file: BinaryIO) -> None:
    """A flow chart for Markdown. Of a large run main's way and the living with their ancestors come first, then the newest;
    a comment says how many did not fit, for Mermaid draws no more than 500 links and 50,000 characters."""
    lines = {c.id: _mermaid_node(c, gathered) for c in gathered.everybody}
    links: dict[int, list[Edge]] = {number: [] for number in lines}
    for e in edges(gathered):
        links[e.child].append(e)
    shown = _fitting(gathered, lines, links)
    left = len(lines) - len(shown)
    write = _writer(file)
    write("flowchart LR")
    write(f"  %% run {mermaid(gathered.run.name)}: {len(shown)} of {len(lines)} candidates")
    if left:
        write(f"  %% {left} are left out: Mermaid draws at most {MERMAID_LINKS} links and {MERMAID_CHARACTERS} characters")  # fmt: skip
    for number in sorted(shown):
        write(lines[number])
    for number in sorted(shown):
        for e in links[number]:
            if e.parent in shown:
                write(_mermaid_link(e))
    for name, (fill, line, ink) in {**_PAINT, "other": _OTHER}.items():
        write(f"  classDef {name} fill:{fill},stroke:{line},color:{ink}")


def _mermaid_node(candidate: Candidate, gathered: Gathered) -> str:
    facts = f"{standing(candidate)} · {candidate.operator} · {candidate.commit[:7]}"
    words = f"{mermaid(f'{candidate.label} {candidate.title}', 48)}<br/>{mermaid(figure(candidate, gathered))}<br/>{mermaid(facts)}"  # fmt: skip
    paint = standing(candidate) if standing(candidate) in _PAINT else "other"
    return f'  c{candidate.id}["{words}"]:::{paint}'


def _mermaid_link(edge: Edge) -> str:
    return f"  c{edge.parent} {'-.->' if edge.kind == 'second' else '-->'} c{edge.child}"


def _fitting(gathered: Gathered, lines: dict[int, str], links: dict[int, list[Edge]]) -> set[int]:
    """The candidates for which there is room, each with its first parents up to the root, so that the tree holds together."""
    way, newest = gathered.main[::-1], gathered.everybody[::-1]
    wished = [*way, *(c.id for c in newest if c.alive), *(c.id for c in newest)]
    shown, room, free = set[int](), MERMAID_CHARACTERS - 800, MERMAID_LINKS
    for number in wished:
        family, at = list[int](), number
        while at not in shown:
            family.append(at)
            if not (parents := gathered.candidate(at).parents):
                break
            at = parents[0]
        # Counted with all links; those to a parent that is not shown leave a little room unused.
        many = sum(len(links[member]) for member in family)
        size = sum(len(lines[m]) + 1 + sum(len(_mermaid_link(e)) + 1 for e in links[m]) for m in family)  # fmt: skip
        if size <= room and many <= free:
            shown.update(family)
            room, free = room - size, free - many
    return shown


def _writer(file: BinaryIO) -> Any:
    def write(line: str) -> None:
        file.write(utf8(line + "\n"))

    return write
