"""Everything between the command and the first loop: checks, lock, data, run, repairs.

Each check fails with one sentence for a person and leaves git and the journal as they were. Nothing is trained
here. What an earlier engine left behind (refs, worktrees) is repaired from the journal, the authority.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evolve import audits, comparable, fitness, goingon, projecting
from evolve import settings as config
from evolve.backup import Backups, check_at_start
from evolve.context import Context
from evolve.credentials import Credentials
from evolve.journal import Journal, Reader
from evolve.ledger import JournalLedger
from evolve.levels import LACKS, sandbox_level
from evolve.lineage import Lineage
from evolve.lock import EngineLock
from evolve.model import Event, EvolveError, NothingToDo, Operator, Run, UsageError
from evolve.noise import pooled
from evolve.outlook import POLICY
from evolve.ownership import make_private, refuse_open, refuse_strangers
from evolve.places import JOURNAL, LOCK, STATE, state_folder
from evolve.propose.operators import LanguageModel, Proposal
from evolve.propose.placeholders import versions_in_force
from evolve.propose.vetting import code_hash
from evolve.pruning import loss_form
from evolve.settings import Settings
from evolve.standing import refresh_noise
from evolve.stopping import begin_hours, in_words, reason_to_stop
from harness.apart import prepare_apart
from harness.crashpoints import reached
from harness.dataset import DataConfig, Dataset, load_dataset
from harness.device import Machine, detect
from harness.places import cache_dir
from harness.spec import Cause, HarnessError

if TYPE_CHECKING:
    from evolve.propose.claude import ClaudeProposer

Tell = Callable[[], None]
_DATASET = "data set of {}"  # journal key of the folder that a run trains on


@dataclass(frozen=True, slots=True)
class Boot:
    """What a booted engine works with."""

    context: Context
    lock: EngineLock
    tell: Tell  # hands new events to whoever listens
    backups: Backups

    def language_models(self, context: Context) -> Mapping[str, LanguageModel]:
        """The proposers of the language models under the settings in force, by model; none without one."""
        return language_models(context)


@contextmanager
def boot(
    workspace: Path,
    *,
    overrides: dict[str, str],
    name: str | None,
    allow_weak_sandbox: bool,
    on_event: Callable[[Event], None] | None,
    credentials: Credentials | None = None,
    lock: EngineLock | None = None,
    again: bool = False,
) -> Iterator[Boot]:
    """Bring a workspace to the point where its loops can run; releases the journal at the end.

    `lock`: of this workspace, held after this until its owner lets go of it; without it, until the end.
    `again`: no person starts this, an engine goes on after a fault, so what was granted stands (`goingon`).
    `credentials`: those that this engine was given; without them it looks into a copy of the environment.
    """
    workspace = workspace.resolve()
    refuse_open(workspace, "the workspace")
    refuse_strangers(cache_dir(), "where data and compiled kernels are kept")
    closed = make_private(state_folder(workspace))
    machine = detect()
    # Who goes on by itself was given the first start's settings once more: what was set since counts more.
    goes = goes_on(workspace, name)
    overrides = remembered(workspace, name) | ({} if again and goes else overrides)
    settings = config.load(workspace, gpu=bool(machine.gpus), overrides=overrides)
    lineage = Lineage(
        workspace, settings.workspace.script, settings.workspace.branch, name or "check"
    )
    if not goes:
        lineage.check()
    level = sandbox_level(settings, allow_weak=allow_weak_sandbox)
    state = state_folder(workspace)
    with ExitStack() as stack:
        lock = lock or stack.enter_context(EngineLock(state / LOCK))
        lock.take()
        reached("boot.locked")
        check_at_start(state / JOURNAL)
        journal = stack.enter_context(Journal.open(state / JOURNAL))
        if not again:
            journal.refuse_pending("That engine has ended; ask again.")
        reached("boot.opened")
        journal.settle_abandoned_calls()
        reached("boot.settled")
        tell = _teller(journal, on_event)
        resumed = _resumable(journal, name)
        context = _context(
            workspace, settings, machine, lineage, journal, resumed, level, name, overrides, tell
        )
        context.credentials = credentials or Credentials(dict(os.environ))
        _take_over(context, resumed, overrides)
        if not again:  # whoever goes on trains meanwhile, and finds out by itself
            _check_models(context)
        context.credentials.withdraw()  # the data is there, so nobody else needs any
        since = lock.awake_since if again else None
        context.awake_since = since or begin_hours(journal, journal.run().name, again=again)
        lock.count_from(context.awake_since)
        _announce(context, resumed, again=again)
        _warn(context)
        if closed:
            words = f"Others could read {', '.join(closed)} in {STATE}; they cannot any more."
            journal.record_event("sandbox", words)
        tell()
        yield Boot(context, lock, tell, stack.enter_context(Backups(state)))


def _context(
    workspace: Path,
    settings: Settings,
    machine: Machine,
    lineage: Lineage,
    journal: Journal,
    resumed: Run | None,
    level: str,
    name: str | None,
    overrides: dict[str, str],
    tell: Tell,
) -> Context:
    """Data, device and run: the one that goes on where its scores would mean the same, or a new one."""
    dataset = _dataset(settings, journal, resumed, tell)
    device = _device(settings, machine)
    weights = fitness.weights(settings, machine, device)
    fingerprint = comparable.fingerprint(settings, machine, dataset, device, level, weights)
    run = resumed or _new_run(journal, lineage, settings, name, fingerprint, dataset, overrides)
    comparable.check(run, fingerprint)
    return Context(
        workspace=workspace,
        state=workspace / STATE,
        journal=journal,
        lineage=Lineage(workspace, settings.workspace.script, run.branch, run.name),
        settings=settings,
        machine=machine,
        dataset=dataset,
        device=device,
        sandbox=level,
        noise=pooled(()),
        awake_since=time.monotonic(),
        weights=weights,
    )


def _take_over(context: Context, resumed: Run | None, overrides: dict[str, str]) -> None:
    """Bring journal, refs and worktrees to where the loops can begin."""
    journal = context.journal
    if not journal.has_candidate(1):
        _seed(context)
    if resumed is not None:
        journal.note_settings(config.flatten(context.settings), "the start")
        goingon.start_with(journal, resumed.name, overrides)
        goingon.save_live(context.workspace, journal, resumed.name)
    journal.keep_templates(versions_in_force(context.settings.prompts.model_dump()))
    _repair(context)
    refresh_noise(context)
    journal.set_meta("sandbox", context.sandbox)
    journal.set_meta(POLICY.format(journal.run().name), context.settings.acceptance.policy)


def _announce(context: Context, resumed: Run | None, *, again: bool) -> None:
    """Say what begins; raises NothingToDo when a stop rule is met already and a person wants it to go on."""
    if again and goingon.take_up(context):
        return  # paused it was, and so it is
    if not again:
        goingon.begin(context.journal, context.journal.run().name)
    if not again and (reason := reason_to_stop(context)):
        raise NothingToDo(
            f"Nothing to do: {reason} Raise the stop rule (`autoresearch run --max N`) to go on, or start "
            "a new run with `--name NAME`."
        )
    context.journal.set_run_state(
        "running",
        f"{'Resumed' if resumed else 'Started'}: {context.budget_in_words()} a training"
        f"{fitness.aside(context.weights)}, "
        f"{context.dataset.source} data, {context.sandbox} sandbox, {_who_proposes(context)}; "
        f"ends after {in_words(context.settings)}.",
    )


def _warn(context: Context) -> None:
    """Say what this run does without, so that nobody trusts a score more than it deserves."""
    if note := LACKS.get(context.sandbox):
        context.journal.record_event("sandbox", note)
    if not audits.enabled(context.settings):
        context.journal.record_event(
            "audit",
            "The blind audit is off ([scoring] audit_probes = 0): a script that looks at the text which it should "
            "predict is not found out.",
        )
    if (
        context.device != "cpu"
        and context.settings.metric.memory_penalty
        and not context.weights.limited
    ):
        context.journal.record_event(
            "metric",
            f"Nothing measures the memory of {context.device}, so its soft limit is off: {fitness.NO_NVML}.",
        )


def goes_on(workspace: Path, name: str | None) -> bool:
    """Whether a start under this name goes on with a run, instead of beginning one."""
    path = workspace / STATE / JOURNAL
    if not path.exists():
        return False
    with Journal.reader(path) as reader:
        return _resumable(reader, name) is not None


def remembered(workspace: Path, name: str | None) -> dict[str, str]:
    """The command-line settings with which the run that would go on was started; empty for a new one."""
    path = workspace / STATE / JOURNAL
    if not path.exists():
        return {}
    with Journal.reader(path) as reader:
        run = _resumable(reader, name)
        return goingon.started_with(reader, run.name) if run else {}


def language_model(context: Context, model: str = "") -> ClaudeProposer | None:
    """Build the claude proposer when it is wanted and there are credentials; `model` instead of the first one."""
    llm = context.settings.llm
    if model:
        llm = llm.model_copy(update={"model": model})
    if llm.proposer == "builtin":
        return None
    key = context.credentials.get(llm.api_key_env)
    token = context.credentials.get(llm.auth_token_env)
    if not (key or token or llm.base_url):
        if llm.proposer == "claude":
            raise EvolveError(
                f"[llm] proposer is claude, but neither {llm.api_key_env} nor {llm.auth_token_env} is set. "
                'Export one, or use `proposer = "auto"`.'
            )
        return None
    from evolve.propose.claude import ClaudeProposer, LlmConfig

    return ClaudeProposer(
        LlmConfig.from_settings(llm, api_key=key, auth_token=token), JournalLedger(context)
    )


def language_models(context: Context) -> dict[str, ClaudeProposer]:
    """A proposer for each model that is wanted, the first one first: [llm] model, then models."""
    llm = context.settings.llm
    found = {name: language_model(context, name) for name in (llm.model, *llm.models)}
    return {name: proposer for name, proposer in found.items() if proposer is not None}


def data_config(settings: Settings) -> DataConfig:
    """What the harness is to prepare for these settings."""
    data = settings.data
    return DataConfig(
        source=data.source,
        shards=data.shards,
        sequence_length=data.sequence_length,
        vocabulary=data.vocabulary,
        eval_tokens=data.eval_tokens,
        local_mb=data.local_mb,
    )


# ---- private ---------------------------------------------------------------------------------------------


def _who_proposes(context: Context) -> str:
    llm = context.settings.llm
    if language_model(context) is None:
        return "built-in proposer (no API key)" if llm.proposer == "auto" else "built-in proposer"
    return f"{llm.model} proposes"


def _teller(journal: Journal, on_event: Callable[[Event], None] | None) -> Tell:
    """A function that passes on every event that is new since its last call."""
    last = journal.last_event_id()

    def tell() -> None:
        nonlocal last
        for event in journal.events(after=last):
            last = event.id
            if on_event is not None:
                on_event(event)

    return tell


def _resumable(journal: Reader, name: str | None) -> Run | None:
    """The run to go on with: the newest one, unless another name asks for a new one."""
    run = (
        journal.current_run() if journal.made else None
    )  # an engine may be making it, or have died of that
    if run is not None and (origin := journal.imported_from(run.name)):
        raise UsageError(
            f"Run “{run.name}” was imported from {origin}: it can be looked at and exported, and never goes on. Start a "
            "run of your own in another folder."
        )
    return run if run is not None and name in (None, run.name) else None


def _dataset(settings: Settings, journal: Journal, resumed: Run | None, tell: Tell) -> Dataset:
    """The data set of the run that goes on, or the one that the settings ask for, found or built.

    A run keeps the folder it began with: text of the Python installation, say, changes with every package.
    """
    if resumed is not None:
        key = _DATASET.format(resumed.name)
        try:
            dataset = load_dataset(Path(journal.meta(key)))
        except HarnessError as error:
            if error.cause is not Cause.DATA_MISSING:
                raise
            journal.record_event("data", f"The data set is made again: {error}")
            tell()
            dataset = _prepared(settings, journal, tell)
        if resumed.fingerprint["dataset"] != dataset.manifest_sha256:
            raise EvolveError(
                f"The data set of run “{resumed.name}” has changed, so new scores could not be compared with "
                "its old ones. Put it back, or start a new run with `autoresearch run --name NAME`."
            )
        if str(dataset.path) != journal.meta(key):
            journal.set_meta(key, str(dataset.path))
        return dataset
    journal.record_event("data", "Looking for the data set.")
    return _prepared(settings, journal, tell)


def _prepared(settings: Settings, journal: Journal, tell: Tell) -> Dataset:
    """The data set that the settings ask for, found or built; raises EvolveError when its texts are not to be had."""
    told = time.monotonic()

    def progress(message: str, fraction: float) -> None:
        nonlocal told
        if time.monotonic() - told > 2:
            told = time.monotonic()
            journal.record_event("data", f"{message} ({fraction:.0%})")
            tell()

    try:
        return prepare_apart(data_config(settings), progress)
    except HarnessError as error:
        if error.cause is Cause.DATA_MISSING:  # waiting does not bring it back
            raise EvolveError(str(error)) from error
        raise


def _new_run(
    journal: Journal,
    lineage: Lineage,
    settings: Settings,
    name: str | None,
    fingerprint: dict[str, str],
    dataset: Dataset,
    overrides: dict[str, str],
) -> Run:
    commit, _ = lineage.head()
    chosen = name or journal.free_run_name()
    # Before the run itself, so that a run without them cannot exist.
    journal.set_meta(_DATASET.format(chosen), str(dataset.path))
    goingon.start_with(journal, chosen, overrides)
    return journal.create_run(
        name=chosen,
        branch=lineage.branch,
        base_commit=commit,
        settings=settings.model_dump(mode="json"),
        fingerprint=fingerprint,
    )


def _device(settings: Settings, machine: Machine) -> str:
    """`cpu`, or the GPU that the settings name: the first one unless they say more."""
    wanted = settings.device.device
    if wanted == "cpu" or (wanted == "auto" and not machine.gpus):
        return "cpu"
    index = int(wanted.partition(":")[2] or 0)
    if index >= len(machine.gpus):
        raise EvolveError(
            f"[device] device is {wanted}, but this machine shows {len(machine.gpus)} GPUs; see "
            "`autoresearch doctor`, or set it to auto."
        )
    return f"cuda:{index}"


def _check_models(context: Context) -> None:
    """A wrong key or model is told before the first training, not after a night with another proposer."""
    notes: list[str] = []
    for model in language_models(context).values():
        fault = asyncio.run(model.check())
        if fault is not None and (
            fault.retry_after is None or context.settings.llm.proposer == "claude"
        ):
            sentence = f"{fault} Or let the built-in proposer work: `--set llm.proposer=builtin`."
            context.journal.set_run_state("stopped", sentence)
            raise EvolveError(sentence)
        notes += [str(fault) if fault else "", *model.price_notes]
    for note in dict.fromkeys(notes):
        if note:
            context.journal.record_event("llm", note)


def _seed(context: Context) -> None:
    """Candidate #1 is the script where the run began; its commit is the person's own."""
    commit = context.journal.run().base_commit
    source = context.lineage.source(commit)
    proposal = Proposal(
        source=source,
        operator=Operator.SEED,
        proposer="human",
        parents=(),
        title="the baseline",
        hypothesis=f"{context.lineage.script} as it stands on {context.lineage.branch}.",
        category="other",
    )
    reached("boot.seeding")
    number = context.journal.next_candidate_id()
    digest, form = code_hash(source), loss_form(source)
    context.lineage.publish(number, commit)
    context.journal.add_candidate(number, proposal, commit=commit, code_hash=digest, loss_form=form)


def _repair(context: Context) -> None:
    """Bring refs and worktrees back to what the journal says."""
    reached("boot.before-repair")
    projecting.refs(context)
    reached("boot.between-repairs")
    projecting.worktrees(context)
    reached("boot.repaired")
