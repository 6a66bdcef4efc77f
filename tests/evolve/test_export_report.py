"""The report: one page that needs nothing, tells the run as it was, and holds hostile text as text."""

import base64
import io
import json
import struct
import sys
import time
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

import html5lib
import pytest

from evolve.database import without_rules
from evolve.export.gather import gather
from evolve.export.picture import write_png
from evolve.export.progress import plot
from evolve.export.progress_svg import digits_for, progress_svg, ticks
from evolve.export.progress_svg import write_svg as write_progress
from evolve.export.report import roster
from evolve.export.report.certainty import coverage, predictions
from evolve.export.report.facts import Facts, quantile
from evolve.export.report.html import Markup, bar, escaped, plain, tag
from evolve.export.report.page import CONTENTS, write_html
from evolve.journal import Journal
from evolve.model import CandidateState, EvolveError, NothingToDo, Operator, Purpose, Verdict
from evolve.places import JOURNAL, state_folder
from evolve.recordings import DEMO, unpack
from evolve.seeds import difference
from tests.evolve.test_importing import ancestor  # noqa: F401 - a fixture
from tests.tui.live_run import SETTINGS, LiveRun
from tests.tui.many import write as write_many
from tui.cli import main

NASTY = (
    "</script><script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=1">',
    "]]>--><svg onload=window.pwned=1>&amp;&#x3c;",
    "' onmouseover='window.pwned=1",
    "</title></style></pre><iframe src=javascript:window.pwned=1>",
    "\x00\x1b[31mred\x07\u202egnp\ud800\ufffe\u2066",
)


def report(workspace: Path) -> str:
    out = io.BytesIO()
    with gather(state_folder(workspace) / JOURNAL, workspace) as gathered:
        write_html(gathered, out)
    return out.getvalue().decode()


def parsed(text: str):
    """As a strict parser of HTML 5 reads it: any error of the syntax is one of the test."""
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    document = parser.parse(text)
    assert parser.errors == []
    return document


def words(element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def part(document, name: str):
    return next(e for e in document.iter("section") if e.get("id") == name)


def plant(journal: Journal) -> None:
    """Hostile text wherever a candidate, a model or a person can leave some."""
    db = journal._db
    with without_rules(db):
        for number, text in enumerate(NASTY, 1):
            safe = text.encode("utf-8", "replace").decode()
            told = (safe, safe, safe, safe, safe, json.dumps([safe]), number)
            db.execute(
                "UPDATE candidate SET title=?, hypothesis=?, category=?, model=?, verdict_reason=?, changes=? WHERE id=?",
                told,
            )
            db.execute(
                "UPDATE experiment SET outcome='crash', val_bpb=NULL, fitness=NULL, reason=?, traceback=?, log_tail=? WHERE candidate=? AND candidate > 3",
                (safe, safe * 30, safe, number),
            )
        db.execute("UPDATE run SET fingerprint=?, reason=?", (json.dumps({NASTY[0]: NASTY[1]}), NASTY[0]))  # fmt: skip
        for operator, text in zip(("mutate", "tune"), NASTY, strict=False):
            db.execute("INSERT INTO prompt (version, operator, time, text) VALUES (?, ?, 1, ?)", (sha256(text.encode()).hexdigest()[:12], operator, text * 3))  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    with LiveRun(folder) as run:
        for place, _ in enumerate(NASTY):
            number = run.add("x", Operator.MUTATE)
            run.train(number, Purpose.SCREEN, 1.0)
            run.finish(2.1 + place / 100, CandidateState.JUDGED)
            run.journal.judge(number, Verdict.REJECTED, "x", alive=False)
        plant(run.journal)
    return folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    unpack(DEMO, folder)
    return folder


# ---- text is never markup ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [*NASTY, "a" * 1_000_000])
def test_text_is_never_markup(text):
    made = tag("p", text, title=text)
    element = html5lib.parseFragment(made, namespaceHTMLElements=False)
    assert [e.tag for e in element.iter()] == ["DOCUMENT_FRAGMENT", "p"]
    assert set(element[0].attrib) == {"title"}
    assert element[0].text == plain(text)
    assert len(made) < 30_000
    assert not set(made) & set("\x00\x1b\x07\u202e\ud800\ufffe\u2066")


def test_only_what_was_made_here_is_markup():
    assert tag("b", escaped("<"), Markup("<i></i>"), "<") == "<b>&lt;<i></i>&lt;</b>"
    assert tag("input", id="a", hidden=True, checked=False, data_k=None) == '<input id="a" hidden>'
    assert 'width="100.00"' in bar(-3, 9, "all of it")


def test_a_hostile_run_gives_a_page_of_our_own_elements_only(hostile):
    text = report(hostile)
    document = parsed(text)
    scripts = list(document.iter("script"))
    assert len(scripts) == 1
    assert not list(document.iter("iframe")) + list(document.iter("img"))
    for element in document.iter():
        assert not [a for a in element.attrib if str(a).startswith("on")]
        for name in ("href", "src"):
            assert element.get(name, "#").startswith("#")
    assert "\x00" not in text
    assert "\x1b" not in text
    assert words(part(document, "candidates")).count("window.pwned") >= 5  # told, as text


def test_no_script_runs_but_ours_and_nothing_is_fetched(demo):
    document = parsed(report(demo))
    policy = next(m.get("content") for m in document.iter("meta") if m.get("http-equiv"))
    script = next(document.iter("script")).text
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in policy
    assert not list(document.iter("link"))


# ---- what it says --------------------------------------------------------------------------------------------


def test_the_headline_is_the_difference_of_main_and_baseline(demo):
    with gather(state_folder(demo) / JOURNAL, demo) as gathered:
        main, tables = gathered.run.incumbent, gathered.scores
        found = difference(tables[main], tables[1], gathered.noise)
        facts = Facts(gathered)
        assert facts.confirmed
        trained = sum(e.finished - e.started for e in gathered.experiments())
        assert facts.device_seconds == pytest.approx(trained)
        assert facts.dollars == pytest.approx(gathered.tally.dollars)
        document = parsed(report(demo))
    told = words(part(document, "headline"))
    assert f"Main, #{main} , is better than the baseline by {found.gain:.5f} bpb" in told
    assert f"+{found.gain - facts.margin:.5f} to +{found.gain + facts.margin:.5f}" in told
    assert 1.96 < facts.margin / found.sd < 2.4
    assert "finished" in told
    assert "While" not in told


def test_every_section_is_there_and_every_link_leads_somewhere(demo):
    document = parsed(report(demo))
    names = [e.get("id") for e in document.iter() if e.get("id")]
    assert len(set(names)) == len(names)
    assert set(CONTENTS) <= set(names)
    leads = {a.get("href", a.get("{http://www.w3.org/1999/xlink}href")) for a in document.iter("a")}
    assert {lead[1:] for lead in leads if lead} <= set(names)
    for one in document.iter("table"):
        assert one.find("caption").text
    rows = part(document, "candidates").findall(".//tbody/tr")
    assert len(rows) == 28
    assert any("HEAD_LR" in words(e) for e in part(document, "candidates").iter("ins"))


@pytest.mark.parametrize("state", ["nobody", "waiting", "failed"])
def test_a_run_without_a_score_says_so(tmp_path, state):
    with Journal.open(state_folder(tmp_path) / JOURNAL) as journal:
        run = LiveRun.__new__(LiveRun)
        run.journal, run.state = journal, state_folder(tmp_path)
        journal.create_run(name="odd", branch="main", base_commit="0" * 40, settings=SETTINGS, fingerprint={})  # fmt: skip
        if state != "nobody":
            run.add("baseline", Operator.SEED, ())
        if state == "failed":
            run.train(1, Purpose.BASELINE, 1.0)
            run.finish(2.0, CandidateState.JUDGED)
            with without_rules(journal._db):
                journal._db.execute("UPDATE experiment SET outcome='crash', val_bpb=NULL, fitness=NULL, reason='it broke'")  # fmt: skip
                journal._db.execute("UPDATE candidate SET verdict='failed', scores='[]', fitness='[]', outcome='crash'")  # fmt: skip
    document = parsed(report(tmp_path))
    told = words(part(document, "headline"))
    assert "while it runs: as of" in told
    expected = {"nobody": "has not been measured yet", "waiting": "has not been measured yet"}
    assert expected.get(state, "Nothing has a score yet: no training") in told
    assert "Nothing has a score yet" in words(part(document, "progress"))
    if state == "failed":
        assert "it broke" in words(part(document, "failures"))
    with gather(state_folder(tmp_path) / JOURNAL) as gathered, pytest.raises(NothingToDo):
        write_progress(gathered, io.BytesIO())


def test_a_run_in_which_nothing_was_confirmed_promises_nothing(hostile):
    document = parsed(report(hostile))
    assert "none was confirmed to be better" in words(part(document, "headline"))
    assert "No gain was confirmed" in words(part(document, "limits"))


def test_an_imported_run_of_the_ancestors_claims_nothing_as_confirmed(ancestor):  # noqa: F811
    table = ancestor / "results.tsv"
    assert main(["-C", str(ancestor), "import", str(table), "--branch", "autoresearch/mar8"]) == 0
    document = parsed(report(ancestor))
    assert "may be better than the baseline by" in words(part(document, "headline"))
    assert "Not confirmed by a repeat on both sides: #2" in words(part(document, "limits"))
    assert "assumed: nothing was repeated yet" in words(part(document, "headline"))
    assert "(no confirmed gain)" in words(part(document, "cost"))


def test_long_runs_are_cut_and_the_page_says_so(tmp_path, monkeypatch):
    write_many(tmp_path, 60)
    monkeypatch.setattr(roster, "MOST", 10)
    with gather(state_folder(tmp_path) / JOURNAL) as gathered:
        shown = roster.chosen(Facts(gathered))
        wanted = {c.id for c in gathered.everybody if c.alive or c.id in gathered.main or c.id > 50}
    assert {c.id for c in shown} == wanted
    assert len(shown) < 60
    document = parsed(report(tmp_path))
    assert len(part(document, "candidates").findall(".//tbody/tr")) == len(shown)
    assert f"Of 60 candidates, {len(shown)} are here" in words(part(document, "candidates"))


def test_ten_thousand_candidates_are_written_in_time(tmp_path):
    write_many(tmp_path, 10_000)
    begun = time.process_time()
    text = report(tmp_path)
    assert time.process_time() - begun < 20
    assert len(text) < 5_000_000


def test_promises_are_held_against_the_other_trainings_only(demo):
    with gather(state_folder(demo) / JOURNAL) as gathered:
        facts = Facts(gathered)
        found = list(predictions(facts))
        repeated = {n for n, t in gathered.scores.items() if len(t) > 1 and n != 1}
        assert {p.candidate for p in found} == repeated
        assert all(0 <= p.chance <= 1 for p in found)
        inside, total, width = coverage(facts)
        assert 0 < inside <= total <= 42
        assert width > 0


def test_quantiles_are_those_of_the_tables():
    assert quantile(0.975, 10) == pytest.approx(2.228, abs=1e-3)
    assert quantile(0.9, 1e6) == pytest.approx(1.2816, abs=1e-3)


# ---- the progress --------------------------------------------------------------------------------------------


def test_the_line_is_what_was_confirmed_and_never_the_running_minimum(tmp_path):
    with LiveRun(tmp_path) as run:
        number = run.add("lucky once")
        run.train(number, Purpose.SCREEN, 1.0)
        run.finish(1.5, CandidateState.JUDGED)
        run.journal.judge(number, Verdict.KEPT, "not repeated", alive=True)
    with gather(state_folder(tmp_path) / JOURNAL) as gathered:
        found = plot(gathered)
    assert [rung.number for rung in found.rungs] == [1]
    lucky = next(dot for dot in found.dots if dot.number == 2)
    assert lucky.level < found.rungs[0].level
    assert found.kept == 0
    assert found.low < lucky.level


@pytest.mark.parametrize("by", ["trainings", "hours"])
def test_the_figure_is_well_formed_whatever_titles_say(hostile, by):
    with gather(state_folder(hostile) / JOURNAL) as gathered:
        found = plot(gathered)
    root = ElementTree.fromstring(progress_svg(found, by, alone=True))
    marks = [e.get("data-id") for e in root.iter("{http://www.w3.org/2000/svg}g")]
    assert sorted(marks) == [str(n) for n in range(1, 8)]
    assert not [e for e in root.iter() if e.tag.endswith("script")]


def test_ticks_are_round_and_told_apart():
    assert ticks(0.97, 0.99, 4) == pytest.approx([0.97, 0.975, 0.98, 0.985, 0.99])
    assert digits_for(0.97, 0.99) >= 3
    assert ticks(1.0, 1.0) == [1.0]


def test_the_png_has_its_size_and_says_what_is_missing(demo, monkeypatch):
    with gather(state_folder(demo) / JOURNAL) as gathered:
        out = io.BytesIO()
        write_png(gathered, out)
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(EvolveError, match=r"autoresearch\[plot\]"):
            write_png(gathered, io.BytesIO())
    data = out.getvalue()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (2400, 1200)
