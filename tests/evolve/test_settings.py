"""Settings: five layers, every fault in one sentence with its place, and what may change while an engine runs."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from evolve import settings as config
from evolve.model import EvolveError, UsageError
from evolve.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]


def load(workspace: Path, text: str = "", gpu: bool = True, **overrides: str) -> Settings:
    (workspace / "autoresearch.toml").write_text(text, encoding="utf-8")
    return config.load(
        workspace, gpu=gpu, overrides={k.replace("__", "."): v for k, v in overrides.items()}
    )


def fault(workspace: Path, text: str) -> str:
    with pytest.raises(EvolveError) as caught:
        load(workspace, text)
    return str(caught.value)


# ---- layers ----------------------------------------------------------------------------------------------


def test_without_any_file_the_defaults_of_the_machine_count(tmp_path: Path) -> None:
    gpu = config.load(tmp_path, gpu=True, overrides={})
    assert (gpu.profile, gpu.budget.kind, gpu.budget.seconds) == ("gpu", "seconds", 300)
    assert (gpu.population.size, gpu.stop.candidates, gpu.data.eval_tokens) == (8, 0, 20_971_520)
    cpu = config.load(tmp_path, gpu=False, overrides={})
    assert (cpu.profile, cpu.budget.kind, cpu.budget.tokens) == ("cpu", "tokens", 200_000)
    assert (cpu.population.size, cpu.stop.candidates, cpu.device.device) == (6, 12, "cpu")
    assert (gpu.scoring.audit_probes, gpu.scoring.champion_probes) == (2048, 8192)
    assert (cpu.scoring.audit_probes, cpu.scoring.champion_probes) == (256, 1024)


def test_a_later_layer_wins(tmp_path: Path) -> None:
    assert load(tmp_path, gpu=False).population.size == 6
    text = "[population]\nsize = 20\nbuffer = 3\n"
    assert load(tmp_path, text, gpu=False).population.size == 20
    config.save_live(tmp_path, {"population.size": "30"})
    assert load(tmp_path, text).population.size == 30
    settings = load(tmp_path, text, population__size="40")
    assert (settings.population.size, settings.population.buffer) == (40, 3)


def test_the_profile_may_be_asked_for(tmp_path: Path) -> None:
    assert load(tmp_path, 'profile = "cpu"').budget.kind == "tokens"
    assert load(tmp_path, 'profile = "cpu"', profile="gpu").budget.kind == "seconds"


def test_the_commented_file_of_the_repository_says_the_defaults() -> None:
    lines = (REPOSITORY / "autoresearch.toml").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line[1:] if re.match(r"#\S", line) else line for line in lines)
    written = config.flatten(Settings.model_validate(config.tomllib.loads(text)))
    assert written == config.flatten(Settings())
    named = [line for line in text.splitlines() if re.match(r"[\w-]+ = ", line)]
    assert len(named) == len(written)


def test_further_models_are_a_list_of_names_however_they_are_written(tmp_path: Path) -> None:
    settings = load(tmp_path, '[llm]\nmodels = ["claude-sonnet-5-5"]\n')
    assert settings.llm.models == ["claude-sonnet-5-5"]
    for text in ('["a", "b"]', "a, b", "a,b"):
        assert config.change(settings, "llm.models", text).llm.models == ["a", "b"]
    assert config.change(settings, "llm.models", "[]").llm.models == []
    for wrong in ("[1]", "3", '[""]'):
        with pytest.raises(UsageError, match=r"llm.models must be a list of names such as \["):
            config.change(settings, "llm.models", wrong)
    config.save_live(tmp_path, {"llm.models": "a, b"})
    assert load(tmp_path).llm.models == ["a", "b"]


def test_prices_in_a_file_are_added_to_the_built_in_table(tmp_path: Path) -> None:
    text = '[llm.prices]\n"local.7b" = { input = 0.0, output = 0.0 }\nclaude-opus-5 = { input = 1, output = 2 }\n'
    prices = load(tmp_path, text).llm.prices
    assert prices["local.7b"].output == 0
    assert (prices["claude-opus-5"].output, prices["claude-opus-5"].cache_read) == (2, 0.5)
    assert prices["claude-opus-5-5"].input == 4


# ---- faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[population]\n\nsiez = 3\n",
            "autoresearch.toml, line 3: there is no setting population.siez; did you mean population.size?",
        ),
        (
            "[population]\nseconds = 3\n",
            "autoresearch.toml, line 2: there is no setting population.seconds; did you mean budget.seconds?",
        ),
        (
            "size = 3\n",
            "autoresearch.toml, line 1: there is no setting size; did you mean population.size?",
        ),
        (
            "[populaton]\nsize = 3\n",
            "autoresearch.toml, line 1: there is no setting populaton; did you mean population?",
        ),
        (
            '[population]\nsize = "big"\n',
            'autoresearch.toml, line 2: population.size must be a whole number from 1 to 1000, not "big".',
        ),
        (
            "[population]\nsize = true\n",
            "autoresearch.toml, line 2: population.size must be a whole number from 1 to 1000, not true.",
        ),
        (
            "[acceptance]\nconfidence = 95\n",
            "autoresearch.toml, line 2: acceptance.confidence must be a number above 0.5 and below 1, not 95.",
        ),
        (
            '[budget]\nkind = "minutes"\n',
            'autoresearch.toml, line 2: budget.kind must be seconds or tokens, not "minutes".',
        ),
        (
            '[device]\ndevice = "tpu"\n',
            'autoresearch.toml, line 2: device.device must be auto, cpu or cuda:N, not "tpu".',
        ),
        (
            "llm.cache = 1\n",
            "autoresearch.toml, line 1: llm.cache must be true or false, not 1.",
        ),
        (
            "budget = 300\n",
            "autoresearch.toml, line 1: budget must be a section, [budget], not 300.",
        ),
        (
            "[llm.prices]\nmine = 3\n",
            "autoresearch.toml, line 2: llm.prices.mine must be a price such as "
            "{ input = 4.0, output = 20.0 }, not 3.",
        ),
        (
            "[stop]\nhours = nan\n",
            "autoresearch.toml, line 2: stop.hours must be a number of at least 0, not NaN.",
        ),
        ("origin = 1\n", "autoresearch.toml, line 1: there is no setting origin"),
        (
            "[budget]\nseconds 300\n",
            "autoresearch.toml, line 2 is not valid TOML (expected '=' after a key in a key/value pair); "
            "correct it and try again.",
        ),
        ("[budget", "autoresearch.toml, at its end, is not valid TOML"),
        (
            "[budget]\nseconds = 1000.0\n",
            "budget.wall_limit (900 s) ends an experiment before its 1000 s of training are over; "
            "make it at least twice budget.seconds.",
        ),
        (
            "[operators]\nmutate = 0\nrewrite = 0\ncrossover = 0\ntune = 0\n",
            "Every weight in [operators] is 0, so no child could be made; raise one.",
        ),
        (
            "[population]\nsize = 6\nislands = 4\n",
            "population.size (6) leaves 4 islands fewer than two places each; make it at least 8, or lower "
            "population.islands.",
        ),
    ],
)
def test_a_fault_is_one_sentence_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    assert fault(tmp_path, text).startswith(sentence)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "autoresearch.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        config.load(tmp_path, gpu=True, overrides={})


def test_faults_of_the_machine_s_own_file_name_it(tmp_path: Path) -> None:
    config.save_live(tmp_path, {"stop.hours": "1"})
    (tmp_path / ".autoresearch" / "live.toml").write_text("[stop]\nhour = 1\n")
    with pytest.raises(UsageError, match=r"^\.autoresearch/live\.toml, line 2: .*stop\.hours"):
        load(tmp_path)


@pytest.mark.parametrize("overrides", [{"stop.max": "3"}, {"population.size": "many"}])
def test_a_fault_on_the_command_line_is_a_usage_error(
    tmp_path: Path, overrides: dict[str, str]
) -> None:
    with pytest.raises(UsageError):
        config.load(tmp_path, gpu=True, overrides=overrides)


# ---- changing while an engine runs -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("population.size", "12", "12"),
        ("operators.tune", ".5", "0.5"),
        ("operators.tune", "2", "2.0"),
        ("llm.model", "claude-haiku-5-5", '"claude-haiku-5-5"'),
        ("llm.model", '"claude-haiku-5-5"', '"claude-haiku-5-5"'),
        ("llm.model", "7", '"7"'),
        ("llm.base_url", "", '""'),
        ("llm.cache", "false", "false"),
        ("prompts.mutate", "{parents}\ntwo = 2", '"{parents}\\ntwo = 2"'),
        (
            "llm.prices.mine",
            "{ input = 1, output = 2 }",
            "{ input = 1.0, output = 2.0, cache_write = 0.0, cache_write_1h = 0.0, cache_read = 0.0 }",
        ),
    ],
)
def test_a_live_key_takes_a_toml_value_or_a_bare_string(key: str, text: str, value: str) -> None:
    before = Settings()
    after = config.change(before, key, text)
    assert config.flatten(after)[key] == value
    others = {k: v for k, v in config.flatten(after).items() if k != key}
    assert others == {k: v for k, v in config.flatten(before).items() if k != key}


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("budget.seconds", "60", "would make scores incomparable.*--name NAME"),
        ("data.vocabulary", "500", "would make scores incomparable"),
        ("profile", "cpu", "would make scores incomparable"),
        ("scoring.audit_probes", "0", "would make scores incomparable"),
        ("workspace.branch", "x", "is read when an engine starts"),
        ("population.sizes", "3", "did you mean population.size"),
        ("population", "3", "there is no setting population"),
        ("population.size", "0", "from 1 to 1000, not 0"),
        ("stop.candidates", "1.5", "a whole number"),
    ],
)
def test_a_change_that_cannot_be_is_refused(key: str, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        config.change(Settings(), key, text)


def test_changes_by_machine_last_and_keep_the_person_s_file(tmp_path: Path) -> None:
    text = "# mine\n[population]\nsize = 20\n"
    (tmp_path / "autoresearch.toml").write_text(text)
    config.save_live(tmp_path, {"population.size": "30", "prompts.mutate": 'say "hi" {parents}\n'})
    config.save_live(tmp_path, {"stop.hours": ".5"})
    settings = config.load(tmp_path, gpu=True, overrides={})
    assert (settings.population.size, settings.stop.hours) == (30, 0.5)
    assert settings.prompts.mutate == 'say "hi" {parents}\n'
    assert (tmp_path / "autoresearch.toml").read_text() == text
    folder = tmp_path / ".autoresearch"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    assert sorted(p.name for p in folder.iterdir()) == [".gitignore", "live.toml"]


def test_an_edited_file_changes_what_may_change_and_names_the_rest(tmp_path: Path) -> None:
    running = load(tmp_path, "", stop__candidates="50", stop__hours="2")
    running = config.change(running, "stop.hours", "3")
    config.save_live(tmp_path, {"stop.hours": "3"})
    (tmp_path / "autoresearch.toml").write_text(
        'profile = "cpu"\n[budget]\nseconds = 60.0\n[population]\nsize = 5\n[stop]\ncandidates = 9\n'
    )
    edited, ignored = config.reload(tmp_path, running)
    assert edited.population.size == 5
    assert edited.stop.candidates == 50  # the command line still wins
    assert edited.stop.hours == 3  # but not over what was changed since
    assert (edited.budget.seconds, edited.profile) == (300, "gpu")
    assert ignored == ["budget.seconds", "profile"]
    (tmp_path / "autoresearch.toml").write_text("[population]\nsize = 0\n")
    with pytest.raises(UsageError, match="line 2"):
        config.reload(tmp_path, running)


def test_every_setting_is_described_for_people() -> None:
    rows = config.reference()
    assert all(row.doc and row.type and row.default for row in rows)
    assert {row.key for row in rows if row.live and row.key.startswith("population")}
    assert not any(row.live for row in rows if row.key.startswith(("budget", "data", "scoring")))
