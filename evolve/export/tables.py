"""The tables of `autoresearch export data`: everything that a journal knows of a run, with types, units and meanings.

Plain data. A column that the journal has is read from it as it is and goes back there by `importing`; one without a `source`
is computed for readers, and computed again after an import. docs/export.md lists all of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evolve.export.columns import Column

VERSION = 1  # of this layout, in every file


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its name in an export, the journal's table, and its columns."""

    name: str
    source: str
    about: str
    columns: tuple[Column, ...]
    order: str = "id"
    mine: str = "run"  # column that says whose run a row is of; "" = of all runs in the journal

    def column(self, name: str) -> Column:
        """The column of that name; raises KeyError."""
        return {column.name: column for column in self.columns}[name]

    @property
    def stored(self) -> tuple[Column, ...]:
        """Those that the journal has."""
        return tuple(column for column in self.columns if not column.derived)

    @property
    def heavy(self) -> bool:
        """Does it hold long texts?"""
        return any(column.kind == "blob" for column in self.columns)


def _c(name: str, kind: str, about: str, unit: str = "", source: str = "") -> Column:
    return Column(name, kind, about, unit, source)


def _derived(name: str, kind: str, about: str, unit: str = "") -> Column:
    return Column(name, kind, about, unit, derived=True)


_ID = _c("id", "int", "its number in the journal")
_CANDIDATE = _c("candidate", "int", "of which candidate")
_TIME = _c("time", "time", "when", "s")

TABLES: tuple[Table, ...] = (
    Table("run", "run", "the run itself, one row", (
        _c("name", "text", "part of its git refs"),
        _c("created", "time", "when it began", "s"),
        _c("state", "word", "running, paused, stopped, finished, failed"),
        _c("reason", "text", "why it is in that state"),
        _c("branch", "text", "what a confirmed gain moves"),
        _c("base_commit", "text", "where the branch stood when it began"),
        _c("settings", "json", "resolved settings at its start"),
        _c("fingerprint", "json", "device, data, budget, software: what its scores mean"),
        _c("incumbent", "int?", "the candidate that main holds"),
        _c("promotion", "int", "the event with which that changed last"),
        _c("sigma", "float?", "measured noise of one training, one standard deviation", "bpb"),
        _c("dollars", "float", "paid for language models", "USD"),
        _c("finished", "time?", "when it ended", "s"),
    ), mine="id"),
    Table("candidates", "candidate", "every version of train.py", (
        _c("id", "int", "its number in the run, from 1 on without gaps"),
        _c("operator", "word", "seed, mutate, rewrite, crossover, repair, tune, human"),
        _c("proposer", "word", "claude, builtin, human"),
        _c("model", "word", "the language model, where one wrote it"),
        _c("prompt_version", "word", "of the template of its prompt"),
        _c("category", "word", "what kind of idea it is"),
        _c("title", "text", "what it tries, as its proposer says"),
        _c("hypothesis", "text", "why that should help"),
        _c("recommendation", "text", "of the scratchpad, that its prompt carried"),
        _c("changes", "texts", "what was changed, where that is known"),
        _c("parents", "ints", "the first one is the tree's, a second one makes a crossover"),
        _c("generation", "int", "1 more than its parents' largest"),
        _c("children", "int", "how many were made of it"),
        _c("island", "int", "of the population, where there are several"),
        _c("commit", "text", "in git", source="commit_oid"),
        _c("source_sha", "text", "SHA-256 of the script"),
        _c("code_hash", "text", "SHA-256 of its normalised syntax tree"),
        _c("lines", "int", "of the script", "lines"),
        _c("created", "time", "when it was queued", "s"),
        _c("state", "word", "ready, training, contender, judged, dropped"),
        _c("alive", "bool", "a member of the population"),
        _c("verdict", "word?", "baseline, promoted, kept, rejected, failed, dropped"),
        _c("verdict_reason", "text", "why"),
        _c("judged", "int?", "the event of its first verdict after a training"),
        _c("provisional", "bool", "its score rests on a single training or is not confirmed"),
        _c("outcome", "word?", "of its last training"),
        _c("scores", "floats", "val_bpb of its trainings that count, in order", "bpb"),
        _c("fitness_scores", "floats", "what selection goes by, for each of them", "bpb", source="fitness"),
        _c("peak_memory_mb", "float?", "at its largest", "MB"),
        _c("sealed_gain", "float?", "over main on the rows that selection never sees, when it was judged", "bpb"),
        _c("sealed_gap", "float?", "gain on the validation rows minus that", "bpb"),
        _c("voided", "text", "why the blind audit voided its score; empty = it did not"),
        _c("priority", "int", "order in the queue"),
        _c("chances", "int", "second chances that it was given"),
        _c("loss_form", "text", "which quantity it prints as its loss"),
        _c("pinned", "bool", "lives whatever comes"),
        _c("banned", "bool", "has no more children"),
        _c("approved", "bool", "a person let it train"),
        _c("boosted", "int", "children to come that are to have it as a parent"),
        _c("wanted", "int", "trainings that a person asked for"),
        _derived("main", "bool", "main holds it now"),
        _derived("val_bpb", "float?", "mean of `scores`", "bpb"),
        _derived("fitness", "float?", "mean of `fitness_scores`", "bpb"),
        _derived("corrected", "float?", "fitness without the luck of seeds, drawn towards its relatives", "bpb"),
        _derived("corrected_sd", "float?", "one standard deviation of that", "bpb"),
        _derived("p_better", "float?", "P(better than main), 0 to 1; nothing for main itself"),
    )),
    Table("experiments", "experiment", "every training", (
        _ID, _CANDIDATE,
        _c("purpose", "word", "baseline, screen, confirm, incumbent"),
        _c("seed", "int", "of the order of the data and of torch"),
        _c("started", "time", "when it began", "s"),
        _c("finished", "time?", "when it ended", "s"),
        _c("outcome", "word?", "ok, crash, oom, nan, timeout, invalid, void, pruned"),
        _c("cause", "word", "of a void one: what it was lost to"),
        _c("reason", "text", "of its outcome"),
        _c("val_bpb", "float?", "on the validation rows, by the scorer", "bpb"),
        _c("val_nats", "float?", "the same a token", "nats/token"),
        _c("sealed_bpb", "float?", "on the sealed rows", "bpb"),
        _c("fitness", "float?", "what selection goes by", "bpb"),
        _c("discounted", "text", "why its score counts no more; empty = it counts"),
        _c("setup_seconds", "float", "before the clock starts", "s"),
        _c("train_seconds", "float", "of training, by the meter", "s"),
        _c("eval_seconds", "float", "of scoring", "s"),
        _c("total_seconds", "float", "from launch to result", "s"),
        _c("train_tokens", "int", "served by the meter", "tokens"),
        _c("eval_tokens", "int", "scored", "tokens"),
        _c("epochs", "int", "how often it has begun the training rows; 0 = not known"),
        _c("tokens_per_second", "float", "in training, by the meter", "tokens/s"),
        _c("peak_memory_mb", "float?", "as its outcome says", "MB"),
        _c("host_memory_mb", "float?", "of the process tree, measured", "MB"),
        _c("device_memory_mb", "float?", "of the GPU until it was scored, measured", "MB"),
        _c("mfu_percent", "float?", "as the script says", "%"),
        _c("steps", "int?", "as the script says"),
        _c("params_m", "float?", "as the script says", "million"),
        _c("sandbox", "word", "the level that held"),
        _c("weights_sha256", "text", "of the weights that were scored"),
        _c("fingerprint", "json", "device and software of this training"),
        _c("audit", "json?", "what the blind audit found; empty = none"),
        _c("pruning", "json?", "what the pruning rule said; empty = nothing"),
        _c("wished", "bool", "a person asked for it"),
        _c("killed", "word", "a person ended it: drop or again; empty = nobody"),
        _c("traceback", "blob", "of a crash"),
        _c("log_tail", "blob", "the end of what it printed"),
    )),
    Table("curves", "curve", "the loss while it trained, as the script printed it: a log, no score", (
        _c("experiment", "int", "of which training"),
        _c("position", "int", "from 0 on"),
        _c("fraction", "float", "of the budget spent, 0 to 1"),
        _c("seconds", "float", "since the clock started", "s"),
        _c("tokens", "int", "served by then", "tokens"),
        _c("loss", "float", "as printed", "mostly nats/token"),
    ), order="experiment, position", mine=""),
    Table("smoke_runs", "smoke", "a few steps before a first training", (
        _ID, _CANDIDATE,
        _c("started", "time", "when it began", "s"),
        _c("finished", "time?", "when it ended", "s"),
        _c("outcome", "word?", "ok = it came through"),
        _c("reason", "text", "of its outcome"),
        _c("seconds", "float", "that it took", "s"),
        _c("peak_memory_mb", "float?", "of the device", "MB"),
        _c("traceback", "blob", "of a crash"),
    )),
    Table("llm_calls", "llm_call", "every request to a language model", (
        _ID, _TIME,
        _c("model", "word", "who was asked"),
        _c("operator", "word", "what for"),
        _c("status", "word", "reserved, answered, refused, failed"),
        _c("category", "word", "of a refusal, as the server names it"),
        _c("stop_reason", "word", "why the answer ended"),
        _c("input_tokens", "int", "neither read from the cache nor written to it", "tokens"),
        _c("output_tokens", "int", "thinking included", "tokens"),
        _c("cache_read_tokens", "int", "read from the cache", "tokens"),
        _c("cache_write_tokens", "int", "written to the cache", "tokens"),
        _c("dollars", "float", "committed while reserved, paid afterwards", "USD"),
        _c("seconds", "float", "until the answer was complete", "s"),
        _c("candidate", "int?", "that came of it"),
        _c("outcome", "text", "why an answer led to no candidate"),
        _c("error", "text", "of a failure"),
        _c("request_sha", "text", "SHA-256 of the request"),
        _c("brief", "json?", "whose child the answer is"),
        _c("request", "blob", "what was sent, without credentials"),
        _c("response", "blob", "what came back"),
    )),
    Table("events", "event", "the story of the run, a line each", (
        _ID, _TIME,
        _c("kind", "word", "proposal, queued, started, finished, verdict, ratchet, audit, drift …"),
        _c("candidate", "int?", "about which candidate"),
        _c("text", "text", "a sentence"),
        _c("data", "json", "the same for programs"),
        _c("before_run", "bool", "it was before the run began", source="run IS NULL"),
    ), mine="run?"),
    Table("setting_changes", "setting_change", "who changed which setting when", (
        _ID, _TIME,
        _c("who", "text", "a person, or the file that was edited"),
        _c("key", "text", "dotted"),
        _c("old", "text", "as TOML"),
        _c("new", "text", "as TOML"),
        _c("applied_from", "int", "the first candidate that it may have shaped"),
    )),
    Table("commands", "command", "what people asked the engine for", (
        _ID, _TIME,
        _c("who", "text", "a person"),
        _c("verb", "word", "pause, set, pin …"),
        _c("args", "json", "of the verb"),
        _c("state", "word", "pending, done, refused"),
        _c("answer", "text", "of the engine"),
        _c("answered", "time?", "when", "s"),
    ), mine="time"),
    Table("scratchpads", "scratchpad", "what the search has learned, every version", (
        _ID, _TIME,
        _c("source", "word", "model, builtin, human"),
        _c("who", "text", "the model's name, builtin, or the person"),
        _c("settled", "int", "children with a verdict when it was written"),
        _c("text", "blob", "of the scratchpad"),
    )),
    Table("prompts", "prompt", "every template of a prompt that was in force", (
        _c("version", "text", "first 12 hex digits of its SHA-256"),
        _c("operator", "word", "which prompt"),
        _TIME,
        _c("text", "blob", "of the template"),
    ), order="time, version, operator", mine=""),
    Table("moves", "ratchet", "every move of the branch", (
        _ID, _TIME, _CANDIDATE,
        _c("tip", "text", "the commit where it stood"),
        _c("target", "text", "the commit where it was to stand"),
        _c("kind", "word", "fast-forward or merge"),
        _c("state", "word", "intended, moved, deferred, abandoned"),
        _c("reason", "text", "why it was not moved"),
        _c("ended", "time?", "when it was known what came of it", "s"),
    )),
    Table("facts", "meta", "what the engine wrote down about itself", (
        _c("key", "text", "of which fact"),
        _c("value", "blob", "the fact"),
    ), order="key", mine="key"),
)  # fmt: skip


def table(name: str) -> Table:
    """The table of that name; raises KeyError."""
    return {one.name: one for one in TABLES}[name]


def of_candidates() -> Iterator[str]:
    """The names of tables whose rows belong to candidates."""
    return (one.name for one in TABLES if any(c.name == "candidate" for c in one.columns))
