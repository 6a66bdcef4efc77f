"""Every setting of a run as data: its section, type, limits, default and meaning.

Descriptions are written for people: the documentation and the error messages are made from them. Nothing
here reads a file or looks at the machine; that is `settings`.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_PRICES = tomllib.loads((files("evolve") / "prices.toml").read_text(encoding="utf-8"))


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Workspace(_Section):
    """What evolves, and where."""

    script: str = Field(
        default="auto",
        description="the file that evolves; auto: trainer/train.py if it is there, else train.py",
    )
    program: str = Field(
        default="program.md", description="research directions for the proposer, by you"
    )
    branch: str = Field(
        default="auto",
        description="the branch that the best moves; auto: main, else the checked-out one",
    )


class Budget(_Section):
    """What every training may spend."""

    kind: Literal["seconds", "tokens"] = Field(
        default="seconds",
        description="seconds of training (compilation is free), or a number of tokens",
    )
    seconds: float = Field(default=300.0, gt=0, description="when kind is seconds")
    tokens: int = Field(default=500_000_000, gt=0, description="when kind is tokens")
    setup_limit: float = Field(
        default=180.0,
        gt=0,
        description="seconds after the first batch at which the clock starts in any case",
    )
    wall_limit: float = Field(
        default=900.0,
        gt=0,
        description="seconds after which a whole experiment is ended, scoring included",
    )


class Data(_Section):
    """What is trained on and scored on."""

    source: str = Field(
        default="auto",
        description="auto, climbmix, local, or a folder or file of text",
        min_length=1,
    )
    shards: int = Field(
        default=10, ge=1, le=6542, description="training shards of climbmix, about 90 MB each"
    )
    sequence_length: int = Field(default=2048, ge=16, le=65_536, description="tokens in a row")
    vocabulary: int = Field(
        default=8192, ge=300, le=65_535, description="of the tokenizer trained here"
    )
    eval_tokens: int = Field(
        default=20_971_520, ge=1, description="validation tokens that a score rests on"
    )
    local_mb: int = Field(
        default=400, ge=1, description="text taken from this Python installation, at most"
    )


class Scoring(_Section):
    """How bits per byte are counted, and how closely a score is looked at."""

    byte_count: Literal["raw", "upstream"] = Field(
        default="raw",
        description="raw: true bytes; upstream: as karpathy/autoresearch, to compare with it",
    )
    audit_probes: int = Field(
        default=2048,
        ge=0,
        le=1_000_000,
        description="places of the blind audit; 0: nothing is audited, and scores can be faked",
    )
    champion_probes: int = Field(
        default=8192,
        ge=0,
        le=1_000_000,
        description="the same for what may become main; never fewer than audit_probes",
    )


class Metric(_Section):
    """What selection goes by, in bits per byte: val_bpb, and what else a training is worth."""

    val_bpb: float = Field(default=1.0, gt=0, description="weight of the score itself")
    tokens_per_second: float = Field(
        default=0.0, ge=0, description="bpb that twice the baseline's speed is worth"
    )
    peak_memory: float = Field(
        default=0.0, ge=0, description="bpb that half the baseline's measured memory is worth"
    )
    lines: float = Field(
        default=0.0, ge=0, description="bpb that half the baseline's lines of code are worth"
    )
    stability: float = Field(
        default=0.0, ge=0, description="bpb that each nat of a rougher loss curve costs"
    )
    memory_limit_mb: int = Field(
        default=0, ge=0, description="soft limit of memory; 0: 95 % of the GPU's, none on a CPU"
    )
    memory_penalty: float = Field(
        default=0.5, ge=0, description="bpb that exceeding the limit by all of itself costs; linear"
    )


class Device(_Section):
    """Where training runs."""

    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu or cuda:N"
    )


class Sandbox(_Section):
    """What a candidate may touch and use."""

    level: Literal["auto", "bubblewrap", "landlock", "process"] = Field(
        default="auto", description="auto: the strongest that works; process: none to speak of"
    )
    memory_mb: int = Field(default=0, ge=0, description="host memory of a training; 0: no limit")
    log_mb: int = Field(default=64, ge=1, description="a candidate that prints more is ended")
    threads: int = Field(default=0, ge=0, description="CPU threads of a training; 0: torch decides")


class Population(_Section):
    """Who lives."""

    size: int = Field(
        default=8, ge=1, le=1000, description="living candidates, each with a worktree"
    )
    buffer: int = Field(default=2, ge=1, le=100, description="children kept ready while one trains")
    plateau: int = Field(
        default=20,
        ge=0,
        description="children in a row that did not move main, after which no kind of change may "
        "dominate the proposals; 0: never",
    )
    islands: int = Field(
        default=1, ge=1, le=100, description="populations beside each other, of size / islands each"
    )
    reset_after: int = Field(
        default=40,
        ge=0,
        description="children in a row that did not move main, after which the weaker half of the islands "
        "begins anew; 0: never",
    )


class AcceptanceRules(_Section):
    """When main moves."""

    policy: Literal["confirmed", "greedy"] = Field(
        default="confirmed",
        description="confirmed: by repeats; greedy: the ancestor's rule, one better score; keeps noise",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="P(better) that moves main")
    baseline_repeats: int = Field(
        default=3, ge=1, le=100, description="trainings of the start, for the noise"
    )
    max_repeats: int = Field(
        default=14, ge=1, le=100, description="extra trainings that a contender may get"
    )
    remeasure_every: int = Field(
        default=20,
        ge=0,
        description="trainings after which what main holds is measured again; 0: never, as with greedy",
    )


class Vetting(_Section):
    """What a child must pass before its first training."""

    smoke: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="a few steps and an evaluation first; auto: of changed code, where time is the budget",
    )
    smoke_steps: int = Field(default=3, ge=1, le=100, description="optimizer steps of that")


class Approval(_Section):
    """Whether children wait for a person before anything of theirs is run."""

    required: bool = Field(
        default=False,
        description="children wait for `approve`; the baseline, repeats and what you inject do not",
    )


class Pruning(_Section):
    """Which trainings are stopped early."""

    enabled: bool = Field(default=True, description="stop a child that cannot win any more")
    chance: float = Field(
        default=0.02, gt=0, lt=0.5, description="P(it wins) below which it is stopped"
    )
    spare: float = Field(
        default=0.05, gt=0, le=1, description="share of these let finish, to test the rule"
    )


class Operators(_Section):
    """How often each way of making a child is used, as weights; 0 switches it off."""

    mutate: float = Field(default=4.0, ge=0, description="an idea edited into one parent")
    rewrite: float = Field(
        default=1.0, ge=0, description="the whole file anew (language model only)"
    )
    crossover: float = Field(default=2.0, ge=0, description="two parents joined")
    tune: float = Field(default=3.0, ge=0, description="constants only")


class Bandit(_Section):
    """How the weights of [operators] give way to what each operator and model brings for its cost."""

    enabled: bool = Field(
        default=True, description="false: the weights of [operators] alone decide"
    )
    floor: float = Field(
        default=0.05,
        ge=0,
        le=0.25,
        description="share of proposals that no operator falls below, unless its weight asks for less",
    )
    discount: float = Field(
        default=0.98,
        gt=0.5,
        le=1,
        description="what a result still counts after each later one; 1: for ever",
    )
    hour_dollars: float = Field(
        default=3.0,
        ge=0,
        description="what an hour of the device is worth, to weigh calls against it; 0: calls are free",
    )


class Prompts(_Section):
    """Templates for the language model; empty: the built-in one."""

    mutate: str = Field(default="", description="template of mutate")
    rewrite: str = Field(default="", description="template of rewrite")
    crossover: str = Field(default="", description="template of crossover")
    tune: str = Field(default="", description="template of tune")
    repair: str = Field(default="", description="template of repair, for a candidate that crashed")
    scratchpad: str = Field(default="", description="template that rewrites the scratchpad")


class Scratchpad(_Section):
    """What the search has learned, rewritten from time to time and shown to the language model."""

    every: int = Field(
        default=10, ge=0, le=1000, description="children between two rewrites; 0: none"
    )


class Price(_Section):
    """USD per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_write: float = Field(default=0.0, ge=0)
    cache_write_1h: float = Field(default=0.0, ge=0)
    cache_read: float = Field(default=0.0, ge=0)


class Llm(_Section):
    """Who proposes. The key itself is never in a file: it comes from the environment."""

    proposer: Literal["auto", "claude", "builtin"] = Field(
        default="auto", description="auto: claude when a key or base_url is there, else builtin"
    )
    model: str = Field(default="claude-opus-5-5", min_length=1, description="name of the model")
    models: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[], description="further models among which the bandit may choose"
    )
    base_url: str = Field(
        default="", description="another server that speaks /v1/messages, without /v1"
    )
    api_key_env: str = Field(
        default="ANTHROPIC_API_KEY", description="variable that holds the API key"
    )
    auth_token_env: str = Field(
        default="ANTHROPIC_AUTH_TOKEN", description="variable that holds a token"
    )
    api_version: str = Field(
        default="", description="anthropic-version header; empty: the SDK's own"
    )
    effort: Literal["low", "medium", "high", "xhigh", "max"] = Field(
        default="medium", description="how hard the model thinks"
    )
    max_tokens: int = Field(default=32_000, ge=1024, description="of one answer, thinking included")
    fallback_model: str = Field(
        default="", description="asked instead when the model refuses a request; empty: none"
    )
    cache: bool = Field(default=True, description="prompt caching")
    cache_ttl: Literal["5m", "1h"] = Field(
        default="1h",
        description="how long a cached prompt is kept; 5m is cheaper to write, for short trainings",
    )
    timeout: float = Field(default=600.0, gt=0, description="seconds for one answer")
    backoff: float = Field(
        default=30.0,
        gt=0,
        description="seconds until a server that failed is asked again; doubled each time, at most 600",
    )
    prices_as_of: str = Field(
        default=_PRICES["as_of"],
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        description="the day of the price table, YYYY-MM-DD",
    )
    prices: dict[str, Price] = Field(
        default_factory=lambda: {name: Price(**row) for name, row in _PRICES["models"].items()},
        description="USD per million tokens, by model",
    )


class Stop(_Section):
    """What ends a run, whichever comes first; 0: off."""

    candidates: int = Field(default=0, ge=0, description="children with a verdict")
    experiments: int = Field(
        default=0, ge=0, description="finished trainings, repeats and the baseline's among them"
    )
    hours: float = Field(
        default=0.0,
        ge=0,
        description="since it was started by a person; sleep of the machine does not count",
    )
    dollars: float = Field(default=0.0, ge=0, description="for the language model")
    target_bpb: float = Field(default=0.0, ge=0, description="score of main at which to end")
    plateau: int = Field(default=0, ge=0, description="children in a row that did not move main")


class Origin(_Section):
    """Where settings came from, so that an edited file can be read again in the same way."""

    gpu: bool = False
    overrides: dict[str, str] = {}


class Settings(_Section):
    """All of them. Frozen: a change makes a new one (`settings.change`)."""

    profile: Literal["auto", "gpu", "cpu"] = Field(
        default="auto",
        description="gpu: the real thing; cpu: a rehearsal of minutes; auto: by the machine",
    )
    workspace: Workspace = Workspace()
    budget: Budget = Budget()
    data: Data = Data()
    scoring: Scoring = Scoring()
    metric: Metric = Metric()
    device: Device = Device()
    sandbox: Sandbox = Sandbox()
    population: Population = Population()
    acceptance: AcceptanceRules = AcceptanceRules()
    vetting: Vetting = Vetting()
    approval: Approval = Approval()
    pruning: Pruning = Pruning()
    operators: Operators = Operators()
    bandit: Bandit = Bandit()
    prompts: Prompts = Prompts()
    scratchpad: Scratchpad = Scratchpad()
    llm: Llm = Llm()
    stop: Stop = Stop()
    origin: Origin = Field(default=Origin(), exclude=True)
