"""Every key of the app, written down once: bindings, key line, help and the table in the docs come from here.

A key that is not in this registry does nothing, and nothing in it is without effect. `python -m tui.keys`
prints the table of docs/keys.md and `--write FILE` writes it there. Only letters, digits, arrows and ctrl+letter:
they work in tmux and over SSH.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LIVE, POPULATION, LINEAGE = "live", "population", "lineage"
DIFF, TUNE, LOG = "diff", "tune", "log"
DETAILS, HELP, REVIEW = "details", "help", "review"  # pages on top of a view
VIEWS = (LIVE, POPULATION, LINEAGE, DIFF, TUNE, LOG)
MAIN = frozenset({LIVE, POPULATION, LINEAGE, DIFF, TUNE, LOG, DETAILS})
EVERYWHERE = MAIN | {HELP, REVIEW}
CANDIDATES = frozenset({LIVE, POPULATION, LINEAGE, DIFF, DETAILS})  # a candidate is selected there
FILTERED = frozenset({POPULATION, LINEAGE, TUNE, LOG})


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that a person can do."""

    id: str
    keys: tuple[str, ...]  # Textual's names
    shown: str  # as people write it
    label: str  # for the key line
    help: str  # a short sentence
    group: str  # "View", "Move", "Find", "Act", "Leave"
    views: frozenset[str]
    action: str  # Textual action, looked up on the view and then on the app
    acting: bool = False  # changes the run; absent in read-only mode
    rank: int = (
        0  # place in the key line, 0 = not in it; the highest goes first when space is short
    )


KEYS: tuple[Key, ...] = (
    Key("live", ("1",), "1", "live", "The running candidate", "View", MAIN,
        "app.view('live')", rank=4),
    Key("population", ("2",), "2", "population", "Every candidate, best first", "View", MAIN,
        "app.view('population')", rank=4),
    Key("lineage", ("3",), "3", "lineage", "The history as a tree that folds", "View", MAIN,
        "app.view('lineage')", rank=4),
    Key("diff_view", ("4",), "4", "diff", "What differs between two candidates, and all there is to read about one",
        "View", MAIN, "app.view('diff')", rank=4),
    Key("tune", ("5",), "5", "tune", "Settings, prompts and scratchpad, and who changed them", "View", MAIN,
        "app.view('tune')", rank=4),
    Key("log", ("6",), "6", "log", "What happened, newest last", "View", MAIN,
        "app.view('log')", rank=4),
    Key("up", ("up", "k"), "↑ k", "up", "One line up", "Move", EVERYWHERE, "move(-1)"),
    Key("down", ("down", "j"), "↓ j", "down", "One line down", "Move", EVERYWHERE, "move(1)"),
    Key("page_up", ("pageup", "ctrl+u"), "pgup ctrl+u", "page up", "One page up", "Move",
        EVERYWHERE, "page(-1)"),
    Key("page_down", ("pagedown", "ctrl+d"), "pgdn ctrl+d", "page down", "One page down", "Move",
        EVERYWHERE, "page(1)"),
    Key("first", ("g", "home"), "g home", "first", "To the first line", "Move", EVERYWHERE,
        "edge(-1)"),
    Key("last", ("G", "end"), "G end", "last", "To the last line", "Move", EVERYWHERE, "edge(1)"),
    Key("pane", ("tab",), "tab", "pane", "Next list", "Move", frozenset({LIVE, TUNE}), "next_pane",
        rank=9),
    Key("log_axis", ("l",), "l", "log axis", "The budget on a logarithmic axis, or not", "View",
        frozenset({LIVE}), "curve('log')", rank=12),
    Key("late_half", ("h",), "h", "last half", "The curves of the last half of the budget, or of all of it", "View",
        frozenset({LIVE}), "curve('late')", rank=12),
    Key("smooth", ("m",), "m", "smooth", "Losses averaged over a twentieth of the budget, or as printed", "View",
        frozenset({LIVE}), "curve('smoothed')", rank=12),
    Key("parent_curve", ("o",), "o", "parent", "The curve of its parent too, or not", "View",
        frozenset({LIVE}), "curve('parent')", rank=12),
    Key("open", ("enter",), "enter",
        "open", "Hypothesis, changes, scores and log of a candidate",
        "Move", frozenset({LIVE, POPULATION, LINEAGE, DIFF, LOG}), "open", rank=5),
    Key("back", ("escape",), "esc", "back", "Back one step; never quits", "Move",
        frozenset({POPULATION, LINEAGE, DIFF, TUNE, LOG, DETAILS, HELP, REVIEW}), "back", rank=8),
    Key("paper", ("tab",), "tab", "pane", "Diff, facts, prompt, raw answer, log and source in turn", "Move",
        frozenset({DIFF}), "next_pane", rank=4),
    Key("next_change", ("n",), "n", "next change", "To the next change, call or definition", "Move",
        frozenset({DIFF}), "jump(1)", rank=5),
    Key("change_before", ("N",), "N", "change before", "To the one before", "Move", frozenset({DIFF}),
        "jump(-1)"),
    Key("ancestor", ("left_square_bracket",), "[", "its parent", "Go up: the parent beside its own parent", "Move",
        frozenset({DIFF}), "ancestor(-1)", rank=6),
    Key("descendant", ("right_square_bracket",), "]", "back down", "Back down the way you went up", "Move",
        frozenset({DIFF}), "ancestor(1)", rank=9),
    Key("side_by_side", ("s",), "s", "side by side", "One column or two", "View", frozenset({DIFF}),
        "side_by_side", rank=7),
    Key("fold", ("f",), "f", "fold", "Only what changed, or every line", "View", frozenset({DIFF}), "fold",
        rank=7),
    Key("swap", ("o",), "o", "other way round", "Swap the two sides", "View", frozenset({DIFF}), "swap"),
    Key("compare", ("d",), "d", "diff", "Compare it with its parent; again: with the other parent", "Find",
        CANDIDATES, "compare", rank=6),
    Key("compare_marked", ("D",), "D", "diff of two", "Compare the two that are marked", "Find", MAIN,
        "app.compare_marked"),
    Key("visit", ("w",), "w", "shell", "Open a shell where its train.py is; `exit` comes back", "Find",
        CANDIDATES, "visit", rank=11),
    Key("open_branch", ("right", "l"), "→ l", "unfold", "Show what is below, or go to the first child", "Move",
        frozenset({LINEAGE}), "open_branch", rank=6),
    Key("close_branch", ("left", "h"), "← h", "fold", "Hide what is below, or go to the parent", "Move",
        frozenset({LINEAGE}), "close_branch", rank=6),
    Key("open_below", ("L",), "L", "unfold all", "Show everything below, failures too", "Move",
        frozenset({LINEAGE}), "open_below"),
    Key("fold_again", ("f",), "f", "fold again", "Fold the tree as it was: open where somebody lives", "Move",
        frozenset({LINEAGE}), "fold_again"),
    Key("to_root", ("H",), "H", "root", "To the first ancestor", "Move", frozenset({LINEAGE}), "to_root"),
    Key("to_main", ("m",), "m", "main", "To what main holds", "Move", frozenset({LINEAGE}), "to_main", rank=8),
    Key("to_other", ("o",), "o", "other parent",
        "From a crossover to its second parent, from that one to the crossover", "Move", frozenset({LINEAGE}),
        "to_other", rank=9),
    Key("sibling_before", ("left_square_bracket",), "[", "sibling before", "The child before, of the same parent",
        "Move", frozenset({LINEAGE}), "sibling(-1)"),
    Key("sibling_after", ("right_square_bracket",), "]", "sibling after", "The next child of the same parent",
        "Move", frozenset({LINEAGE}), "sibling(1)"),
    Key("previous", ("left_square_bracket",), "[", "previous", "Candidate before this one", "Move",
        frozenset({DETAILS}), "neighbour(-1)", rank=6),
    Key("next", ("right_square_bracket",), "]", "next", "Candidate after this one", "Move",
        frozenset({DETAILS}), "neighbour(1)", rank=6),
    Key("previous_view", ("backspace",), "backspace", "previous view", "Back to the view before this one",
        "View", MAIN, "app.previous_view"),
    Key("filter", ("slash",), "/", "filter", "Show only what matches: words, !word, bpb<0.98, is:pinned; the rest is below",
        "Find", FILTERED, "filter", rank=5),
    Key("next_match", ("n",), "n", "next match", "To the next match of the last filter, also once esc has cleared it",
        "Find", FILTERED - {TUNE}, "seek(1)"),
    Key("match_before", ("N",), "N", "match before", "To the match before", "Find", FILTERED - {TUNE}, "seek(-1)"),
    Key("sort", ("s",), "s", "sort", "Sort by score, by age, or the living first", "Find",
        frozenset({POPULATION}), "sort", rank=7),
    Key("sort_left", ("less_than_sign",), "<", "column before", "Sort by the column before", "Find",
        frozenset({POPULATION}), "sort_column(-1)"),
    Key("sort_right", ("greater_than_sign",), ">", "next column", "Sort by the next column", "Find",
        frozenset({POPULATION}), "sort_column(1)"),
    Key("turn", ("S",), "S", "turn round", "The same order from the other end", "Find",
        frozenset({POPULATION}), "turn"),
    Key("command", ("colon",), ":", "command", "Say it in words: `pin 12`, `set population.size 12`; tab completes", "Find",
        MAIN, "app.command_line", rank=7),
    Key("export", ("E",), "E", "export", "Write a table, the lineage, the best script or a report to a file", "Find",
        MAIN, "app.export", rank=11),
    Key("copy", ("y",), "y", "copy", "Copy the selected line", "Find",
        MAIN, "copy", rank=10),
    Key("reveal", ("t",), "t", "in the tree", "Show it in the lineage", "Find", CANDIDATES - {LINEAGE},
        "reveal", rank=11),
    Key("zoom", ("z",), "z", "zoom", "Give the whole screen to the pane with the keys; again takes that back", "View",
        frozenset({LIVE}), "zoom", rank=10),
    Key("mark", ("space",), "space", "mark", "Mark the candidate, or take its mark away", "Act",
        CANDIDATES, "mark", rank=8),
    Key("pause", ("p",), "p", "pause", "Pause after the training in the slot, or resume", "Act",
        MAIN, "app.pause_or_resume", acting=True, rank=2),
    Key("larger", ("plus", "equals_sign"), "+", "larger", "Population one larger", "Act",
        MAIN - {TUNE}, "app.resize_population(1)", acting=True),
    Key("smaller", ("minus",), "-", "smaller", "Population one smaller", "Act", MAIN - {TUNE},
        "app.resize_population(-1)", acting=True),
    Key("change", ("enter",), "enter", "change", "Change the value, or read the text", "Move",
        frozenset({TUNE}), "open", rank=5),
    Key("group_before", ("left_square_bracket",), "[", "group before", "To the group before", "Move",
        frozenset({TUNE}), "group(-1)"),
    Key("group_after", ("right_square_bracket",), "]", "next group", "To the next group", "Move",
        frozenset({TUNE}), "group(1)", rank=9),
    Key("edit", ("e",), "e", "edit", "Edit the value here, a text in your editor ($VISUAL, $EDITOR)", "Act",
        frozenset({TUNE}), "edit", acting=True, rank=3),
    Key("more", ("plus", "equals_sign", "right"), "+ →", "more", "One step more, or the next choice", "Act",
        frozenset({TUNE}), "step(1)", acting=True, rank=5),
    Key("less", ("minus", "left"), "- ←", "less", "One step less, or the choice before", "Act",
        frozenset({TUNE}), "step(-1)", acting=True, rank=5),
    Key("switch", ("space",), "space", "switch", "Switch it on or off", "Act", frozenset({TUNE}), "switch",
        acting=True, rank=8),
    Key("restore", ("o",), "o", "original", "Put the default back; on an earlier template or scratchpad, that one",
        "Act", frozenset({TUNE}), "restore", acting=True, rank=6),
    Key("undo", ("u",), "u", "undo", "Take back the last setting that you changed; again: the one before", "Act",
        MAIN, "app.undo", acting=True, rank=10),
    Key("send", ("y", "enter"), "y enter", "send it", "Send the text as it is now", "Act", frozenset({REVIEW}),
        "send", acting=True, rank=2),
    Key("pin", ("P",), "P", "pin", "Pin it: it stays in the population; again takes that back", "Act",
        CANDIDATES, "pin", acting=True, rank=9),
    Key("ban", ("B",), "B", "ban", "Ban it: it never becomes a parent (asks); again takes that back", "Act",
        CANDIDATES, "ban", acting=True),
    Key("boost", ("b",), "b", "boost", "Boost it: the next three children have it as a parent; again takes that back", "Act",
        CANDIDATES, "boost", acting=True),
    Key("remeasure", ("r",), "r", "measure again", "Train it once more with a fresh seed; again takes that back", "Act",
        CANDIDATES, "remeasure", acting=True),
    Key("inject", ("i",), "i", "inject", "Write a candidate by hand, from a copy of this one in your editor", "Act",
        CANDIDATES, "inject", acting=True),
    Key("approve", ("a",), "a", "approve", "Let the child train that waits for your approval", "Act",
        CANDIDATES, "approve", acting=True),
    Key("approval", ("A",), "A", "approval", "Children wait for your approval from now on, or no longer", "Act",
        MAIN, "approval", acting=True),
    Key("drop", ("x",), "x", "drop", "Drop the selected candidate from the queue (asks)", "Act",
        CANDIDATES, "drop", acting=True, rank=6),
    Key("kill", ("X",), "X", "kill", "End the training that runs now (asks)", "Act", MAIN, "kill",
        acting=True),
    Key("sooner", ("K",), "K", "sooner", "One place forward in the queue", "Act", frozenset({LIVE}),
        "queue(-1)", acting=True),
    Key("later", ("J",), "J", "later", "One place back in the queue", "Act", frozenset({LIVE}),
        "queue(1)", acting=True),
    Key("repair", ("ctrl+l",), "ctrl+l", "repaint", "Repair the terminal and paint everything again",
        "Leave", EVERYWHERE, "app.repair"),
    Key("to_shell", ("ctrl+z",), "ctrl+z", "shell", "Put the app aside; fg in the shell brings it back",
        "Leave", EVERYWHERE, "app.to_shell"),
    Key("detach", ("q", "ctrl+c"), "q ctrl+c", "detach", "Leave; the search goes on", "Leave",
        EVERYWHERE, "app.detach", rank=3),
    Key("stop", ("Q",), "Q", "stop", 'Stop the search itself (asks you to type "stop")', "Leave",
        MAIN, "app.stop_engine", acting=True, rank=7),
    Key("close", ("question_mark",), "?", "close", "Close the help", "Leave", frozenset({HELP}), "back", rank=9),
    Key("help", ("question_mark",), "?", "keys", "The keys of this view", "Leave", MAIN,
        "app.keys", rank=1),
)  # fmt: skip

# In a replay these take the place of the keys that act. A key that a view needs for itself stays the view's.
REPLAY: tuple[Key, ...] = (
    Key("play", ("p",), "p", "stop or go on", "Let the recording stand still, or go on", "Move", MAIN,
        "app.play", rank=2),
    Key("faster", ("plus", "equals_sign"), "+", "faster", "Twice as fast", "Move", MAIN,
        "app.speed(2)", rank=3),
    Key("slower", ("minus",), "-", "slower", "Half as fast", "Move", MAIN, "app.speed(0.5)", rank=3),
    Key("before", ("left", "comma"), "← ,", "back", "To the training before, at most five minutes back",
        "Move", MAIN, "app.jump(-1)", rank=4),
    Key("after", ("right", "full_stop"), "→ .", "on", "To the next training, at most five minutes on",
        "Move", MAIN, "app.jump(1)", rank=4),
    Key("beginning", ("0",), "0", "from the start", "Play from the start", "Move", MAIN, "app.restart",
        rank=5),
)  # fmt: skip

GROUPS = ("View", "Move", "Find", "Act", "Leave")


def keys_of(view: str, *, read_only: bool = False, replay: bool = False) -> tuple[Key, ...]:
    """The keys that do something in a view; a replay has its own in place of those that act."""
    shown = tuple(
        key for key in KEYS if view in key.views and not ((read_only or replay) and key.acting)
    )
    return shown if not replay else (*shown, *(key for key in REPLAY if view in key.views))


def key(id: str) -> Key:
    """The key with this id."""
    return next(entry for entry in KEYS if entry.id == id)


def ascii_shown(shown: str) -> str:
    """The name of a key for terminals without arrows in their character set."""
    for arrow, name in (("↑", "up"), ("↓", "down"), ("←", "left"), ("→", "right")):
        shown = shown.replace(arrow, name)
    return shown


def markdown() -> str:
    """The key table for the docs."""
    lines = ["| Key | What it does | Views |", "|---|---|---|"]
    for group in GROUPS:
        lines.append(f"| **{group}** | | |")
        for entry in (k for k in KEYS if k.group == group):
            shown = " ".join(f"`{name}`" for name in entry.shown.split())
            where = (
                "all"
                if entry.views >= MAIN
                else ", ".join(v for v in (*VIEWS, DETAILS) if v in entry.views)
            )
            lines.append(f"| {shown} | {entry.help} | {where} |")
    return "\n".join(lines)


def replay_table() -> str:
    """The keys of a replay, for the docs."""
    lines = ["| Key | What it does |", "|---|---|"]
    for entry in REPLAY:
        shown = " ".join(f"`{name}`" for name in entry.shown.split())
        lines.append(f"| {shown} | {entry.help} |")
    return "\n".join(lines)


def page() -> str:
    """docs/keys.md as a whole."""
    return (
        "# Keys of the app\n\n"
        "Written by `python -m tui.keys --write docs/keys.md` from the registry that the app itself is bound by. "
        "`?` shows the\nkeys of the view in front. Keys that act are absent in a read-only app.\n\n"
        f"{markdown()}\n\n"
        "## In a replay\n\n"
        "A recording cannot be acted on; these keys play it.\n\n"
        f"{replay_table()}\n"
    )


def main(argv: Sequence[str]) -> int:
    """Print the table, or write the page with `--write FILE`."""
    if argv[:1] == ["--write"] and len(argv) == 2:
        Path(argv[1]).write_text(page(), encoding="utf-8")
    elif argv:
        sys.stderr.write("usage: python -m tui.keys [--write FILE]\n")
        return 2
    else:
        sys.stdout.write(markdown() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
