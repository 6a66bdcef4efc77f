"""Painters and panes without a terminal: text is data, lines keep their width, only changes are repainted."""

from dataclasses import replace

import pytest

from evolve.beliefs import Belief
from evolve.model import CandidateState, Operator, Outcome, Smoke, Verdict
from evolve.outlook import Pruned
from evolve.slotbook import UnderWay
from evolve.telemetry import Load
from evolve.view import EngineView, SmokeView
from harness.spec import AuditReport, Progress
from tests.tui.recording import (
    START,
    candidate,
    curve,
    event,
    experiment,
    outlook,
    running,
    snapshot,
)
from tui.keys import LIVE, POPULATION
from tui.state import Asked, Details, ViewState, with_asked
from tui.widgets.canvas import changed_runs
from tui.widgets.chart import (
    Axis,
    Target,
    chart,
    main_trace,
    nice_range,
    parent_trace,
    plot,
    running_trace,
    smooth,
    value_range,
)
from tui.widgets.columns import candidate_header, candidate_row
from tui.widgets.curve import CurvePane
from tui.widgets.details import details_page
from tui.widgets.gauges import strip
from tui.widgets.ink import (
    ASCII,
    UNICODE,
    Ink,
    Part,
    bar,
    cells,
    clock,
    count,
    cut,
    fit,
    line_width,
    pack,
    plain,
    text_of,
    width,
    wrap,
)
from tui.widgets.panels import (
    KeyLine,
    events_pane,
    facts_line,
    notice_line,
    status_line,
    tiny_line,
)
from tui.widgets.rowlist import Window
from tui.widgets.tables import event_row, top_row
from tui.widgets.training import idea_pane, now_line, now_pane
from tui.widgets.waiting import slot_pane, waiting_row

STATE = ViewState(snapshot=snapshot())
HOSTILE = (
    "\x1b[31mred\x1b]52;c;aGk=\a [bold]markup[/] \u202eevil\u202c a\u200db\ufe0f\r\nnext\ttab\x9b2J"
)


# ---- text ----------------------------------------------------------------------------------------------


def test_control_characters_of_candidates_never_reach_the_terminal():
    shown = plain(HOSTILE)
    assert shown.isprintable()
    assert "[bold]markup[/]" in shown  # data, not markup
    assert "evil" in shown
    assert plain("naïve Δ", ascii_only=True) == "na?ve ?"


@pytest.mark.parametrize("text", ["plain", "日本語テスト", "e\u0301clair", "a日b本c", ""])
@pytest.mark.parametrize("columns", [0, 1, 2, 5, 9])
def test_a_fitted_line_has_exactly_its_width(text, columns):
    line = fit(((text, Ink.PLAIN), (text, Ink.BOLD)), columns)
    assert line_width(line) == columns
    assert len(cells(line)) == columns
    assert width(cut(text, columns, UNICODE)) <= columns


def test_wrapping_loses_nothing():
    text = "a word and averyverylongwordwithoutanyblanks in 日本語 text"
    for columns in (8, 12, 30):
        lines = wrap(text, columns)
        assert all(width(line) <= columns for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_summary_gives_up_its_least_important_parts_first():
    parts = [Part(0, "RUNNING"), Part(2, "gen 4"), Part(1, "main 0.97")]
    assert text_of([pack(parts, 40)]) == "RUNNING  gen 4  main 0.97"
    assert text_of([pack(parts, 20)]) == "RUNNING  main 0.97"
    assert text_of([pack(parts, 8)]) == "RUNNING"


def test_numbers_for_people():
    assert [clock(s) for s in (0, 67, 9080)] == ["0:00", "1:07", "2:31:20"]
    assert [count(n) for n in (950, 12_300, 412_000, 1_200_000)] == ["950", "12.3k", "412k", "1.2M"]
    assert bar(0.5, 4, ASCII) == "##.."
    assert bar(1.7, 4, UNICODE) == "████"


# ---- what goes over the wire ---------------------------------------------------------------------------


def columns_of(text):
    return cells(((text, Ink.PLAIN),))


def test_only_the_changed_columns_are_repainted():
    assert changed_runs(columns_of("loss 2.345"), columns_of("loss 2.346")) == [(9, 1)]
    assert changed_runs(columns_of("same"), columns_of("same")) == []


def test_changes_far_apart_are_separate_and_near_ones_are_one():
    old, new = "a" + "." * 30 + "b", "c" + "." * 30 + "d"
    assert changed_runs(columns_of(old), columns_of(new)) == [(0, 1), (31, 1)]
    assert changed_runs(columns_of("a.b"), columns_of("c.d")) == [(0, 3)]


def test_a_wide_character_is_never_cut_in_half():
    assert changed_runs(columns_of("日x"), columns_of("abx")) == [(0, 2)]
    assert changed_runs(columns_of("a日b"), columns_of("a本b")) == [(1, 2)]


def test_a_new_ink_is_a_change():
    assert changed_runs(cells((("a", Ink.PLAIN),)), cells((("a", Ink.BAD),))) == [(0, 1)]


# ---- curves --------------------------------------------------------------------------------------------


def both(upto, main=2.25):
    return (main_trace(curve(1.0, main)), running_trace(curve(upto, 2.2)))


def test_the_range_is_round_and_holds_the_values():
    bottom, top, step = nice_range(2.213, 2.871)
    assert bottom <= 2.213
    assert top >= 2.871
    assert round((top - bottom) / step) <= 6


def test_the_range_ignores_the_first_losses_once_there_are_later_ones():
    _, top, _ = value_range(curve(1.0, 2.2))
    assert top < 6
    _, top, _ = value_range(curve(0.05, 2.2))
    assert top > 6
    assert value_range((), ()) is None


def test_a_loss_that_is_not_a_number_is_left_out():
    points = ((0.1, 3.0), (0.2, float("nan")), (0.3, float("inf")), (0.4, 2.5))
    bottom, top, _ = value_range(points)
    assert bottom <= 2.5
    assert top < 10
    assert len(plot((running_trace(points),), 20, 5, (bottom, top), UNICODE)) == 5


def test_the_running_curve_falls_from_left_to_right():
    lines = [
        text_of([line])
        for line in plot((running_trace(((0.0, 3.0), (1.0, 2.0))),), 20, 5, (2.0, 3.0), ASCII)
    ]
    assert [line.index("*") for line in lines] == sorted(line.index("*") for line in lines)
    assert lines[0].startswith("*")
    assert lines[-1].endswith("*")


def test_both_curves_are_told_apart_without_colour():
    drawn = plot(both(0.5, 2.6), 40, 8, (2.0, 4.0), ASCII)
    assert "*" in text_of(drawn)
    assert "." in text_of(drawn)
    assert text_of(drawn).isascii()


def test_a_new_point_changes_few_columns():
    old, new = (chart(both(f), 80, 20, UNICODE) for f in (0.50, 0.51))
    runs = [run for a, b in zip(old, new, strict=True) for run in changed_runs(cells(a), cells(b))]
    assert 0 < sum(length for _, length in runs) < 12


def test_a_log_axis_and_the_last_half_show_what_they_say():
    assert Axis(log=True).place(0.01) == 0.0
    assert Axis(log=True).place(0.1) == pytest.approx(0.5)
    assert Axis(log=True).place(0.001) is None
    assert Axis(start=0.5).place(0.75) == 0.5
    assert Axis(start=0.5).place(0.4) is None
    late = text_of(chart(both(0.9), 80, 12, UNICODE, Axis(start=0.5, seconds=300.0)))
    assert late.splitlines()[-1].split() == ["2:30", "3:07", "3:45", "4:22", "5:00"]
    assert "3%" in text_of(chart(both(0.9), 80, 12, UNICODE, Axis(log=True)))


def test_a_smooth_curve_never_changes_its_past():
    points = [(i / 50, 3.0 + (-1) ** i * 0.1) for i in range(51)]
    calm = smooth(points)
    assert calm[:30] == smooth(points[:30])
    assert max(loss for _, loss in calm[5:]) - min(loss for _, loss in calm[5:]) < 0.1
    assert smooth([(0.1, float("nan"))]) == []


def test_a_forecast_is_a_band_at_the_right_edge():
    lines = plot(both(0.5), 40, 11, (2.0, 3.0), ASCII, target=Target(2.1, 2.2, 2.3))
    edge = "".join(text_of([line])[-1] for line in lines)
    assert edge == "       |o|" + edge[-1]
    outside = plot(both(0.5), 40, 11, (2.0, 3.0), ASCII, target=Target(3.5, 3.6, 3.7))
    assert "o" not in text_of(outside)


def test_a_parent_has_a_curve_of_its_own_when_it_is_asked_for():
    pane = CurvePane()
    assert "parent" not in text_of(pane(ViewState(snapshot=ON_CPU, glyphs=ASCII), 80, 12))
    assert "with the parent's curve" in pane.toggle("parent")
    shown = text_of(pane(ViewState(snapshot=ON_CPU, glyphs=ASCII), 80, 12))
    assert "parent ::" in shown
    assert parent_trace(()).mark in shown


def test_a_chart_without_room_or_points_is_empty():
    assert chart((), 80, 20, UNICODE) == []
    assert chart(both(1.0), 9, 20, UNICODE) == []
    assert chart(both(1.0), 80, 2, UNICODE) == []


# ---- painters ------------------------------------------------------------------------------------------

PAINTERS = (
    status_line,
    facts_line,
    CurvePane(),
    slot_pane,
    now_pane,
    now_line,
    idea_pane,
    events_pane,
    notice_line,
    tiny_line,
    KeyLine(LIVE),
    KeyLine(POPULATION),
)
NEVER_RUN = ViewState(snapshot=snapshot(None, run=None, incumbent=None, population=(), recent=()))
STARTING = replace(snapshot(), running=replace(running(0.0), progress=None, curve=(), reference=()))
SMOKING = snapshot(
    None,
    smoking=SmokeView(Smoke(1, 33, "1-33", 1_790_000_596.0), candidate(33, title=HOSTILE)),
    calling=(UnderWay(HOSTILE, "crossover", (12, 9), 1_790_000_592.0, 0.12),),
)
ON_CPU = snapshot(
    running=replace(
        running(0.5),
        foretold=None,
        parent=curve(1.0, 2.3),
        load=Load("CPU", 0.6, 350.0, 24_000.0, cores=2.4, others=(HOSTILE,)),
    )
)
WEIRD = snapshot(
    running=replace(running(0.5), candidate=candidate(30, title=HOSTILE, hypothesis=HOSTILE)),
    recent=(event(1, text=HOSTILE, kind=HOSTILE),),
    engine=EngineView("running", 1, 0.2, HOSTILE),
)


@pytest.mark.parametrize("size", [(40, 10), (79, 23), (80, 24), (120, 40), (200, 60), (9, 3)])
@pytest.mark.parametrize(
    "state",
    [
        ViewState(),
        NEVER_RUN,
        STATE,
        ViewState(snapshot=snapshot(None)),
        ViewState(snapshot=STARTING),
        ViewState(snapshot=WEIRD),
        ViewState(snapshot=WEIRD, glyphs=ASCII, read_only=True, error=HOSTILE),
        ViewState(snapshot=SMOKING),
        ViewState(snapshot=SMOKING, glyphs=ASCII),
        ViewState(snapshot=ON_CPU, glyphs=ASCII),
    ],
)
def test_every_painter_survives_every_state_at_every_size(state, size):
    for painter in PAINTERS:
        lines = painter(state, *size)
        for line in lines:
            text = text_of([line])
            assert text.isprintable() or text == ""
            assert state.glyphs is UNICODE or text.isascii()
            assert line_width(fit(line, size[0])) == size[0]


def test_status_says_state_best_and_connection():
    text = text_of(status_line(STATE, 80, 1))
    assert "RUNNING" in text
    assert "main 2.0632 ±0.0015 #12" in text  # the corrected score, not the lucky one
    assert text.rstrip().endswith("live")


def test_what_is_pending_is_always_in_sight():
    asked = with_asked(STATE, Asked(1, "population 13", "population.size", "13"))
    assert "1 pending" in text_of(status_line(asked, 80, 1))
    assert "12 alive of 13?" in text_of(status_line(asked, 120, 1))
    assert "pending: population 13" in text_of(notice_line(asked, 80, 1))


def test_drift_is_in_sight_until_it_is_over():
    drifting = ViewState(snapshot=snapshot(drift="The baseline now trains 4.1 % fewer tokens"))
    assert "DRIFT" in text_of(status_line(drifting, 80, 1))
    assert "4.1 % fewer tokens" in text_of(notice_line(drifting, 80, 1))
    assert "DRIFT" not in text_of(status_line(STATE, 80, 1))


def test_a_weak_sandbox_is_painted_as_a_warning():
    for level, ink in (("process", Ink.WARN), ("landlock", Ink.DIM), ("bubblewrap", Ink.DIM)):
        (line,) = facts_line(ViewState(snapshot=snapshot(sandbox=level)), 120, 1)
        assert (level, ink) in line


def test_one_training_and_several_are_different_words():
    once = Belief(2.07, 0.003, 0.42, 1, "provisional")
    state = ViewState(snapshot=snapshot(outlook=outlook(beliefs={9: once})))
    lonely = candidate(9, scores=(2.07,))
    for painted in (candidate_row(state, lonely, 120), top_row(state, lonely, 70)):
        assert ("provisional ", Ink.WARN) in painted
        assert "42%" in text_of([painted])
        assert "confirmed" not in text_of([painted])
    page = text_of(details_page(state, Details(lonely, (), once), 90))
    assert "2.0700 ± 0.0030" in page
    assert "provisional" in page
    assert "42 % than main" in page


def test_the_greedy_policy_and_what_selection_goes_by_are_in_sight():
    greedy = ViewState(snapshot=snapshot(outlook=outlook(policy="greedy")))
    assert "GREEDY" in text_of(status_line(greedy, 80, 1))
    assert "greedy: gains may be luck" in text_of(facts_line(greedy, 80, 1))
    priced = ViewState(
        snapshot=snapshot(outlook=outlook(goes_by="val_bpb, 0.01 for twice the speed"))
    )
    assert "fitness: val_bpb, 0.01 for twice the speed" in text_of(facts_line(priced, 200, 1))
    page = text_of(details_page(priced, Details(candidate(12, fitness=(2.05,)), ()), 90))
    assert "fitness   2.0500  selection goes by val_bpb, 0.01" in page
    runs = (experiment(1, 12, fitness=2.0612, device_memory_mb=41_000.0),)
    page = text_of(details_page(priced, Details(candidate(12), runs), 100))
    assert "2.0712   2.0612   40.0 GB" in page
    assert "memory" not in text_of(
        details_page(STATE, Details(candidate(12), (experiment(1, 12),)), 100)
    )
    for plain_words in (status_line, facts_line):
        text = text_of(plain_words(STATE, 200, 1))
        assert "greedy" not in text.lower()
        assert "fitness" not in text


def test_the_facts_say_how_noisy_a_training_is_and_how_the_calls_went():
    text = text_of(facts_line(STATE, 160, 1))
    assert "noise σ 0.0021 (14 repeats)" in text
    assert "$1.42 in 31 calls" in text
    assert "2 refused, 75 % cached" in text


def test_details_say_what_the_pruning_rule_foretold():
    said = {"fraction": 0.45, "loss": 3.2, "score": 2.2, "limit": 2.1, "chance": 0.01}
    runs = (
        experiment(1, 9, outcome=Outcome.PRUNED, val_bpb=None, pruning=said | {"spared": False}),
        experiment(2, 9, seed=1, pruning=said | {"spared": True}),
    )
    page = text_of(details_page(STATE, Details(candidate(9), runs), 110))
    assert "its loss of 3.2000 at 45% foretold 2.2000, no use above 2.1000; stopped." in page
    assert "let finish, as a test of that rule." in page


def test_what_was_stopped_early_is_in_sight_and_whether_that_was_right():
    def facts(*figures):
        shown = outlook(pruned=Pruned(*figures, "In words."))
        return text_of(facts_line(ViewState(snapshot=snapshot(outlook=shown)), 200, 1))

    assert "4 pruned, 2 of 2 spared rightly doomed" in facts(4, 2, 0, False)
    assert facts(4, 0, 0, False).rstrip().find("spared") == -1
    assert "PRUNING OFF, wrong too often" in facts(4, 3, 2, True)
    early = candidate(9, scores=(), verdict=Verdict.REJECTED, outcome=Outcome.PRUNED, alive=False)
    assert ("pruned    ", Ink.DIM) in candidate_row(STATE, early, 140)


def test_a_voided_score_is_named_and_never_shown():
    void = candidate(9, scores=(), verdict=Verdict.FAILED, outcome=Outcome.INVALID, alive=False,
                     voided="its predictions look ahead", verdict_reason="voids its score")  # fmt: skip
    row = candidate_row(STATE, void, 140)
    assert ("voided    ", Ink.BAD) in row
    assert "1 voided" in text_of(status_line(ViewState(snapshot=snapshot(voided=1)), 160, 1))
    told = event_row(STATE, event(3, kind="audit"), 80)
    assert told[1][1] is Ink.BAD


def test_a_rehearsal_is_named_first():
    rehearsal = ViewState(snapshot=snapshot(rehearsal=True))
    assert text_of(facts_line(rehearsal, 80, 1)).startswith(" REHEARSAL, not a result")
    assert "12 candidates or 20 minutes" in text_of(facts_line(rehearsal, 80, 1))


def test_the_time_left_comes_from_the_budget_spent():
    assert "left       4:30" in text_of(now_pane(ViewState(snapshot=snapshot(0.1)), 28, 20))
    scoring = replace(running(1.0), progress=Progress("scoring", 0.0, 1.0, seconds=300))
    assert "left       -" in text_of(
        now_pane(ViewState(snapshot=snapshot(running=scoring)), 28, 20)
    )


def test_a_small_pane_keeps_the_figures_that_matter_most():
    names = [text_of([line]).split()[0] for line in now_pane(STATE, 30, 7)[2:]]
    assert names == ["left", "loss", "foretold", "beats", "tokens/s"]
    tall = text_of(now_pane(STATE, 36, 40))
    for words in ("foretold   2.0612 ±0.0031", "beats main 71 %", "412k 1.02× main", "97%",
                  "45.0/140 GB", "45.8, main 44.2 GB", "670 W", "68 C", "1980 MHz", "slot idle"):  # fmt: skip
        assert words in tall


def test_the_slot_says_what_it_tries_out_and_who_writes_what():
    state = ViewState(snapshot=replace(SMOKING, calling=(UnderWay("opus", "crossover", (12, 9), START + 592, 0.12),)))  # fmt: skip
    assert "#33 is tried out" in text_of(CurvePane()(state, 90, 12))
    assert "trying out #33 (smoke run), 4 s" in text_of(CurvePane()(state, 90, 12))
    told = text_of(slot_pane(state, 70, 3))
    assert "opus writes a crossover of #12 and #9, 8 s, at most $0.12" in told
    assert "trying out #33" in text_of(now_line(state, 70, 1))


def test_a_waiting_child_says_what_holds_it():
    child = candidate(31, state=CandidateState.READY, operator=Operator.MUTATE, pinned=True)
    asks = ViewState(snapshot=snapshot(None, queue=(child,), awaiting=(31,)))
    row = waiting_row(asks, child, 70)
    assert ("approve? ", Ink.WARN) in row
    assert ("pinned ", Ink.BOLD) in row
    assert "1 child waits for your approval" in text_of(slot_pane(asks, 60, 2))
    assert ("approved ", Ink.GOOD) in waiting_row(STATE, replace(child, approved=True), 70)
    assert "approve" not in text_of([waiting_row(STATE, child, 70)])


def test_a_strip_has_a_column_a_look_and_the_newest_at_the_right():
    assert strip((0.0, 0.4, 1.0), 4, ASCII) == "  :#"
    assert strip((1.0, 1.0), 2, UNICODE) == " ⣿"
    assert strip((0.0, 1.0), 1, UNICODE) == "⣸"
    assert strip((), 5, UNICODE) == ""
    assert width(strip((0.3,) * 60, 20, UNICODE)) == 20


def test_a_repeat_shows_what_it_is_to_settle():
    once = Belief(2.0704, 0.003, 0.42, 1, "provisional")
    repeat = replace(running(0.5), candidate=candidate(9, scores=(2.07,)))
    state = ViewState(snapshot=snapshot(running=repeat, outlook=outlook(beliefs={9: once})))
    shown = text_of(now_pane(state, 30, 20))
    assert "corrected  2.0704 ±0.0030" in shown
    assert "P(better)  42 %" in shown
    assert "state      provisional, 1×" in shown
    assert "corrected" not in text_of(now_pane(STATE, 30, 20))  # its first training


def test_figures_that_a_script_does_not_print_are_left_out():
    quiet = replace(running(0.5), progress=Progress("training", 0.0, 0.5, tokens=10, seconds=5))
    text = text_of(now_pane(ViewState(snapshot=snapshot(running=quiet)), 28, 20))
    assert "MFU" not in text
    assert "tokens/s" not in text


def test_the_key_line_always_has_help_and_detach():
    for view in (LIVE, POPULATION):
        for columns in (60, 80, 120):
            text = text_of(KeyLine(view)(STATE, columns, 1))
            assert "? keys" in text
            assert "q detach" in text
            assert width(text) <= columns
    paused = ViewState(snapshot=snapshot(engine=EngineView("paused", 1, 0.1, "")))
    assert "p resume" in text_of(KeyLine(LIVE)(paused, 80, 1))
    assert "p pause" not in text_of(KeyLine(LIVE)(replace(STATE, read_only=True), 120, 1))
    alone = ViewState(snapshot=snapshot(engine=EngineView("none", None, None, "")))
    assert "Q stop" not in text_of(KeyLine(LIVE)(alone, 200, 1))


def test_rows_say_score_kin_maker_and_verdict():
    kept = candidate(12)
    row = text_of([candidate_row(STATE, kept, 180)])
    for word in ("*", "#12", "2.0628", "2.0632", "±0.0015", "confirmed", "cross", "kept", kept.title,
                 "within 2 sigma"):  # fmt: skip
        assert word in row
    for columns in (60, 72, 96, 120, 140):
        head = text_of([candidate_header(STATE, columns)])
        body = text_of([candidate_row(STATE, kept, columns)])
        assert head.index("became") == body.index("kept")
        assert head.index("runs") == body.index("2    ", head.index("runs") - 2)
    assert "val_bpb" in head
    assert "P(better)" in head
    failed = candidate(9, scores=(), verdict=Verdict.FAILED, outcome=Outcome.OOM, alive=False)
    assert "oom" in text_of([candidate_row(STATE, failed, 80)])
    assert "#12" in text_of([top_row(STATE, kept, 60)])
    assert "#6" in text_of([waiting_row(STATE, kept, 40)])
    assert "verdict" in text_of([event_row(STATE, event(3), 80)])


def test_details_hold_everything_about_a_candidate():
    runs = (experiment(1, 12), experiment(2, 12, traceback="ValueError: \x1b[31mno"))
    page = text_of(details_page(STATE, Details(candidate(12, children=1), runs), 80))
    for word in (
        "Gated units",
        "MATRIX_LR: 0.04 -> 0.05",
        "2.0712",
        "0" * 11,
        "#6",
        "1 child",
        "step 100 loss 4.2",
        "ValueError:",
    ):
        assert word in page
    assert "\x1b" not in page


def test_details_tell_of_audits_and_of_the_sealed_rows():
    promoted = candidate(12, sealed_gain=0.004, sealed_gap=0.0001)
    passed = AuditReport(True, "the loss stayed the same", 2.07, 64)
    runs = (
        experiment(1, 12, audit=passed),
        experiment(2, 12, discounted="The machine was slow."),
        experiment(
            3, 12, audit=replace(passed, passed=False), outcome=Outcome.INVALID, val_bpb=None
        ),
    )
    page = text_of(details_page(STATE, Details(promoted, runs), 90))
    assert "+0.0040 over main on the sealed rows, gap +0.0001" in page
    ends = [line.split()[-1] for line in page.splitlines() if line.strip().startswith("screen")]
    assert ends == ["passed", "-", "VOID"]
    assert "count no more: The machine was slow." in page
    assert "sealed" not in text_of(details_page(STATE, Details(candidate(12), ()), 90))


# ---- lists ---------------------------------------------------------------------------------------------


def test_the_cursor_stays_in_the_list_and_on_the_screen():
    window = Window(height=10, count=100)
    for target in (5, 9, 10, 99, 1000, 50, 0, -4):
        window = window.to(target)
        assert 0 <= window.cursor < 100
        assert window.top <= window.cursor < window.top + 10
        assert 0 <= window.top <= 90


def test_a_step_over_the_edge_scrolls_a_third_of_a_page():
    window = Window(cursor=9, height=10, count=100).to(10)
    assert (window.cursor, window.top) == (10, 4)
    assert window.to(11).top == 4


def test_an_empty_list_and_one_that_shrinks():
    assert Window(height=5, count=0).to(3).cursor <= 0
    window = Window(height=5, count=100).to(90).resized(5, 10)
    assert (window.cursor, window.top) == (9, 5)
