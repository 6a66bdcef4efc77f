"""The lineage in every form, each read back by a program that knows nothing of ours; hostile titles stay data in all of them."""

import io
import json
import math
import re
import shutil
import subprocess
import time
from itertools import pairwise
from xml.etree import ElementTree

import networkx as nx
import pandas as pd
import pytest

from evolve.database import without_rules
from evolve.export import escaping
from evolve.export.gather import gather
from evolve.export.graphs import MERMAID_CHARACTERS, MERMAID_LINKS
from evolve.export.labels import Box, Canvas
from evolve.export.registry import kind_of
from evolve.export.scales import Clock, Line, duration
from evolve.export.svg import lineage_svg
from evolve.model import CandidateState, Operator, Purpose, Verdict
from evolve.places import JOURNAL, state_folder
from evolve.recordings import DEMO, unpack
from tests.tui.live_run import LiveRun
from tests.tui.many import write

NASTY = (
    "</script><script>alert(1)</script>",
    "]]> & &amp; <b>bold</b> 'one' \"two\" \\",
    "line one\nline two\r\n\ttabbed\x00\x07 end",
    "\u202eturned\u202c \x1b[31mred\x1b[0m \ud800 lone",
    '=cmd|" /C calc"!A0',
    "end; c1 --> c2 %% `x` #35; [(a)] {b} |c|",
    'a" -> "b" [label=<x>]; } digraph {',
    "x:1[&&NHX:a=b],(y)'z';",
    "ünïcode 漢字 🙂",
    "x" * 1_000_000,
)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """A run whose every title is hostile; each candidate is a child of the one before, every third a crossover."""
    folder = tmp_path_factory.mktemp("nasty")
    with LiveRun(folder) as run:
        for place, title in enumerate(NASTY):
            parents = (place + 1, 1) if place % 3 == 2 else (place + 1,)
            number = run.add(
                "plain", Operator.CROSSOVER if len(parents) > 1 else Operator.TUNE, parents
            )
            run.train(number, Purpose.SCREEN, 1.0)
            run.finish(2.1 - place / 100, CandidateState.JUDGED)
            verdict = Verdict.KEPT if place % 2 else Verdict.REJECTED
            run.journal.judge(number, verdict, "so it is", alive=verdict == Verdict.KEPT)
            _title(run, number, title)
        run.add("waits", Operator.TUNE, (2,))
        with gather(folder / ".autoresearch" / JOURNAL) as gathered:
            yield gathered


def _title(run, number, title):
    """Past the door that makes titles harmless, as a journal of other hands could have them; SQLite holds no half pairs."""
    db = run.journal._db
    text = title.encode("utf-8", "replace").decode()
    with without_rules(db):
        db.execute("UPDATE candidate SET title = ? WHERE id = ?", (text, number))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    unpack(DEMO, folder)
    with gather(state_folder(folder) / JOURNAL) as gathered:
        yield gathered


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    write(folder, 1000)
    with gather(state_folder(folder) / JOURNAL) as gathered:
        yield gathered


def written(gathered, suffix, kind="lineage"):
    file = io.BytesIO()
    kind_of(kind).form(suffix).load()(gathered, file)
    return file.getvalue()


def expected_edges(gathered):
    return {(parent, c.id) for c in gathered.everybody for parent in c.parents}


@pytest.mark.parametrize("run", ["demo", "nasty", "thousand"])
def test_networkx_reads_the_json(run, request):
    gathered = request.getfixturevalue(run)
    graph = nx.node_link_graph(json.loads(written(gathered, ".json")), edges="edges")
    assert set(graph.edges) == expected_edges(gathered)
    assert graph.graph["main"] == gathered.run.incumbent
    for c in gathered.everybody:
        node = graph.nodes[c.id]
        assert (node["title"], node["commit"], node["parents"]) == (
            c.title,
            c.commit,
            list(c.parents),
        )
        assert node["operator"] == c.operator
        belief = gathered.beliefs.get(c.id)
        assert (node["corrected"], node["corrected_sd"]) == (
            (belief.mean, belief.sd) if belief else (None, None)
        )
        for place, parent in enumerate(dict.fromkeys(c.parents)):
            assert graph.edges[parent, c.id]["kind"] == ("second" if place else "first")


@pytest.mark.parametrize("run", ["demo", "nasty"])
def test_networkx_reads_the_graphml_with_types(run, request):
    gathered = request.getfixturevalue(run)
    graph = nx.read_graphml(io.BytesIO(written(gathered, ".graphml")), node_type=int)
    assert set(graph.edges) == expected_edges(gathered)
    for c in gathered.everybody:
        node = graph.nodes[c.id]
        assert (type(node["created"]), type(node["generation"]), type(node["alive"])) == (
            float,
            int,
            bool,
        )
        assert node.get("val_bpb") == c.mean
        assert node["commit"] == c.commit
        held = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", "\ufffd", c.title)
        # ElementTree and all other parsers see what was written, line breaks and brackets included.
        assert node["title"] == held


@pytest.mark.skipif(
    shutil.which("dot") is None, reason="Graphviz is not installed (apt install graphviz)"
)
@pytest.mark.parametrize("run", ["demo", "nasty"])
def test_graphviz_draws_the_dot(run, request):
    gathered = request.getfixturevalue(run)
    drawn = subprocess.run(
        ["dot", "-Tjson"], input=written(gathered, ".dot"), capture_output=True, check=True
    )
    assert drawn.stderr == b""
    graph = json.loads(drawn.stdout.decode("utf-8"))
    names = {node["_gvid"]: int(node["name"]) for node in graph["objects"]}
    assert {(names[e["tail"]], names[e["head"]]) for e in graph["edges"]} == expected_edges(
        gathered
    )
    assert sorted(names.values()) == [c.id for c in gathered.everybody]
    for node in graph["objects"]:
        assert node["commit"] == gathered.candidate(int(node["name"])).commit


_NODE = re.compile(r'  c(\d+)\["((?:[\w .:+/|±·…→−-]|#\d+;|<br/>)*)"\]:::(\w+)')
_LINK = re.compile(r"  c(\d+) (-->|-\.->) c(\d+)")


def mermaid(text):
    """Nodes and links of a flow chart, by the grammar of its docs; nothing else may be in it."""
    first, *rest = text.splitlines()
    assert first == "flowchart LR"
    nodes, links, classes = {}, set(), set()
    for line in rest:
        if node := _NODE.fullmatch(line):
            nodes[int(node[1])] = (
                re.sub(r"#(\d+);", lambda code: chr(int(code[1])), node[2]),
                node[3],
            )
        elif link := _LINK.fullmatch(line):
            links.add((int(link[1]), int(link[3])))
        elif line.startswith("  classDef "):
            classes.add(
                re.fullmatch(r"  classDef (\w+) fill:#\w{6},stroke:#\w{6},color:#\w{6}", line)[1]
            )
        else:
            assert re.fullmatch(r"  %% [\w .:,]+", line), line
    assert {name for _, name in nodes.values()} <= classes
    assert {number for link in links for number in link} <= set(nodes)
    return nodes, links


@pytest.mark.parametrize("run", ["demo", "nasty"])
def test_mermaid_has_every_candidate_of_a_small_run(run, request):
    gathered = request.getfixturevalue(run)
    nodes, links = mermaid(written(gathered, ".mmd").decode())
    assert links == expected_edges(gathered)
    for c in gathered.everybody:
        assert nodes[c.id][0].startswith(f"#{c.id} ")
        assert c.commit[:7] in nodes[c.id][0]


def test_mermaid_leaves_out_what_it_could_not_draw(thousand):
    text = written(thousand, ".mmd").decode()
    nodes, links = mermaid(text)
    assert len(text) <= MERMAID_CHARACTERS
    assert 100 < len(links) <= MERMAID_LINKS
    assert set(thousand.main) <= set(nodes)
    assert f"{1000 - len(nodes)} are left out" in text
    for number in nodes:  # the tree holds together
        assert set(thousand.candidate(number).parents[:1]) <= set(nodes)


@pytest.mark.parametrize("run", ["demo", "nasty"])
def test_pandas_reads_the_phylogeny_of_the_alife_standard(run, request):
    gathered = request.getfixturevalue(run)
    text = written(gathered, ".csv").decode()
    table = pd.read_csv(io.StringIO(text)).set_index("id")
    assert list(pd.read_csv(io.StringIO(text)).columns[:4]) == [
        "id",
        "ancestor_list",
        "origin_time",
        "destruction_time",
    ]
    assert len(text.splitlines()) == len(gathered.everybody) + 1  # no title breaks a line
    for c in gathered.everybody:
        row = table.loc[c.id]
        ancestors = [] if row.ancestor_list == "[none]" else json.loads(row.ancestor_list)
        assert ancestors == list(c.parents)
        assert row.origin_time == c.created
        gone = not c.alive and c.state in (CandidateState.JUDGED, CandidateState.DROPPED)
        assert math.isinf(row.destruction_time) is not gone
        assert row.destruction_time >= row.origin_time
    words = table.select_dtypes(exclude="number").fillna("").astype(str)
    assert words.shape[1] > 5
    assert not any(cell.startswith(("=", "+", "@")) for cell in words.to_numpy().ravel())


def newick(text):
    """Child to parent, and the comments, by a small reader of its own that knows no escapes."""
    parents, comments, stack, done = {}, {}, [[]], []
    tokens = re.findall(r"[(),;]|[^(),;\[]+(?:\[[^\]]*\])?", text.strip())
    for token in tokens:
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
        elif token not in ",;":
            name, length, comment = re.fullmatch(r"(c\d+):(\d+\.\d)\[&&NHX:(.*)\]", token).groups()
            assert float(length) >= 0
            number = int(name[1:])
            comments[number] = dict(pair.split("=") for pair in comment.split(":"))
            parents.update(dict.fromkeys(done, number))
            done = []
            stack[-1].append(number)
    assert tokens[-1] == ";"
    assert len(stack) == 1
    return parents, comments


@pytest.mark.parametrize("run", ["demo", "nasty", "thousand"])
def test_newick_is_the_tree_of_first_parents(run, request):
    gathered = request.getfixturevalue(run)
    text = written(gathered, ".nwk").decode("ascii" if run == "thousand" else "utf-8")
    assert text.count("\n") == 1
    parents, comments = newick(text)
    assert parents == {c.id: c.parents[0] for c in gathered.everybody if c.parents}
    for c in gathered.everybody:
        assert comments[c.id]["commit"] == c.commit
        assert comments[c.id].get("second") == (f"c{c.parents[1]}" if len(c.parents) > 1 else None)


# ---- the picture -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["time", "generation"])
@pytest.mark.parametrize("run", ["demo", "nasty", "thousand"])
def test_the_picture_is_whole_and_needs_nothing_else(run, by, request):
    gathered = request.getfixturevalue(run)
    text = written(gathered, ".svg", "lineage" if by == "time" else "generations").decode()
    root = ElementTree.fromstring(text)
    names = {element.tag for element in root.iter()}
    assert names <= {
        SVG + tag
        for tag in (
            [
                "svg",
                "title",
                "desc",
                "style",
                "defs",
                "path",
                "clipPath",
                "rect",
                "g",
                "text",
                "use",
            ]
        )
    }
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(name.startswith("lineage") for name in ids)
    for element in root.iter():
        assert not any(name.startswith("on") for name in element.attrib)
        if target := element.get("href"):
            assert target.startswith("#")
            assert target[1:] in ids
    assert (
        "http" not in text.replace("http://www.w3.org/2000/svg", "").replace(gathered.run.name, "")
        or run == "nasty"
    )
    shown = {int(use.get("data-id")): use for use in root.iter(SVG + "use") if use.get("data-id")}
    assert set(shown) == {c.id for c in gathered.everybody}
    height, width = float(root.get("height")), float(root.get("width"))
    for number, use in shown.items():
        assert 0 < float(use.get("x")) < width
        assert 0 < float(use.get("y")) < height
        assert use.find(SVG + "title").text.startswith(f"#{number} ")


def test_a_better_score_is_further_down_and_a_later_one_further_right(thousand):
    root = ElementTree.fromstring(lineage_svg(thousand))
    at = {
        int(u.get("data-id")): (float(u.get("x")), float(u.get("y")))
        for u in root.iter(SVG + "use")
        if u.get("data-id")
    }
    best, worse = thousand.main[-1], thousand.main[0]
    assert thousand.beliefs[best].mean < thousand.beliefs[worse].mean
    assert at[best][1] > at[worse][1]
    assert [at[n][0] for n in range(1, 1001)] == sorted(at[n][0] for n in range(1, 1001))
    failed = {c.id for c in thousand.everybody if c.verdict == Verdict.FAILED}
    assert len({at[n][1] for n in failed}) == 1  # all of them crashed: one rail
    assert min(at[n][1] for n in failed) > max(at[n][1] for n in thousand.beliefs)


def test_main_is_named_and_its_steps_are_joined(demo):
    root = ElementTree.fromstring(lineage_svg(demo))
    texts = [text.text for text in root.iter(SVG + "text")]
    first, last = demo.path[0], demo.path[-1]
    assert f"#{first.candidate}" in texts
    gain = f"#{last.candidate}  −{last.gain:.4f} ± {last.sd:.4f}"
    assert gain in texts
    way = [path for path in root.iter(SVG + "path") if path.find(SVG + "title") is not None]
    assert len(way) == len(demo.path) - 1
    assert "P(better)" in way[-1].find(SVG + "title").text


def test_a_page_may_hold_several(demo):
    one, two = (
        lineage_svg(demo, prefix="one"),
        lineage_svg(demo, width=700, prefix="two", paper=False),
    )
    both = ElementTree.fromstring(f"<div>{one}{two}</div>")
    ids = [element.get("id") for element in both.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    rules = re.findall(r"([^{}]+)\{", both.find(f".//{SVG}style").text.strip())
    assert len(rules) > 20
    assert all(re.match(r"@media |#one |.* \.one-[\w-]+$", rule) for rule in rules)


def test_ten_thousand_are_written_quickly_and_stay_small(tmp_path):
    write(tmp_path, 10_000)
    with gather(state_folder(tmp_path) / JOURNAL) as gathered:
        for kind in ("lineage", "generations"):
            for form in kind_of(kind).forms:
                if form.suffix == ".gv":
                    continue  # the same as .dot
                began = time.process_time()
                size = len(written(gathered, form.suffix, kind))
                assert time.process_time() - began < 5, form.suffix
                if form.suffix == ".svg":
                    assert size < 1_500_000


def test_a_run_of_one_has_a_picture(tmp_path):
    with LiveRun(tmp_path) as run, gather(run.state / JOURNAL) as gathered:
        root = ElementTree.fromstring(lineage_svg(gathered))
    assert sum(1 for use in root.iter(SVG + "use") if use.get("data-id")) == 1


# ---- escaping, axes, labels ------------------------------------------------------------------------------------


@pytest.mark.parametrize("title", NASTY)
def test_no_text_ends_its_place(title):
    assert not re.search(r"[<>\"'\n]|&(?!\w+;|#\d+;)", escaping.xml(title))
    assert (
        ElementTree.fromstring(f"<a b='{escaping.xml(title)}'>{escaping.xml(title)}</a>")
        is not None
    )
    assert not re.search(r'(?<!\\)(?:\\\\)*"|\n', escaping.dot(title))
    assert not escaping.dot(title).replace("\\\\", "").endswith("\\")
    assert re.fullmatch(r"(?:[\w .:+/|±·…→−-]|#\d+;)*", escaping.mermaid(title), re.ASCII)
    assert not re.search(r"[\s\[\]:;=,()'\"]", escaping.newick(title))
    for escape in (escaping.dot, escaping.mermaid, escaping.newick, escaping.xml):
        escaping.utf8(escape(title)).decode()


def test_a_long_pause_takes_little_of_the_axis():
    times = [60.0 * n for n in range(100)] + [400_000 + 60.0 * n for n in range(100)]
    clock = Clock.over(times, 0, 1000)
    places = [clock(time) for time in times]
    assert places == sorted(places)
    assert (places[0], places[-1]) == pytest.approx((0, 1000))
    assert places[100] - places[99] == pytest.approx(20)
    assert [round(seconds) for _, seconds in clock.pauses] == [400_000 - 99 * 60]
    ticks = clock.ticks(90)
    assert all(b.at - a.at >= 60 for a, b in pairwise(ticks))
    assert Clock.over([5.0], 0, 100)(5.0) == 0


def test_axes_name_round_figures():
    ticks = Line(0.9612, 0.9981, 500, 0).ticks(8)
    assert [tick.text for tick in ticks] == [
        "0.965",
        "0.970",
        "0.975",
        "0.980",
        "0.985",
        "0.990",
        "0.995",
    ]
    assert [duration(s) for s in (0, 45, 90, 7200, 86400 * 4)] == [
        "0",
        "45 s",
        "1.5 min",
        "2 h",
        "4 d",
    ]


def test_labels_cover_neither_each_other_nor_the_edge():
    canvas = Canvas(Box(0, 0, 400, 300))
    labels = [
        canvas.place(100 + n, 100, (f"#{n}", "a title"), 11, near=4, far=150, limit=1e9)
        for n in range(12)
    ]
    boxes = [label.box for label in labels if label]
    assert len(boxes) >= 8
    assert not any(a.meets(b) for n, a in enumerate(boxes) for b in boxes[:n])
    assert all(canvas.area.holds(box) for box in boxes)
