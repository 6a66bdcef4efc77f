"""The data set folder: the same wherever its text is the same, whole or not there at all."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.corpus import PRIVATE_PACKAGES
from harness.dataset import DataConfig, Dataset, load_dataset, prepare_dataset
from harness.spec import HarnessError
from harness.tokenizer import load_bpe

T = 32
STORIES = [
    f"Story {number}. Once upon a time, {number * number} owls lived in a wood — grüße 🦉. " * 3
    for number in range(800)
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_stories(tmp_path / "stories.jsonl")


@pytest.fixture
def config(text: Path) -> DataConfig:
    return DataConfig(str(text), sequence_length=T, vocabulary=400, eval_tokens=40 * T)


def write_stories(file: Path, count: int = 800) -> Path:
    file.write_text("".join(json.dumps({"text": story}) + "\n" for story in STORIES[:count]))
    return file


def prepare(config: DataConfig) -> Dataset:
    return prepare_dataset(config, lambda message, fraction: None)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# ---- what it is ------------------------------------------------------------------------------------------


def test_rows_begin_with_bos_and_have_the_shape_of_the_manifest(config: DataConfig) -> None:
    data = prepare(config)
    assert data.train().shape == (data.train_rows, T + 1)
    assert data.val().shape == (data.val_rows, T + 1) == (40, T + 1)
    assert data.sealed().shape == (data.sealed_rows, T + 1) == (20, T + 1)  # half as many
    assert data.train().dtype == np.uint16
    assert data.train_tokens == data.train_rows * T > 20_000
    for rows in (data.train(), data.val(), data.sealed()):
        assert (rows[:, 0] == data.bos_id).all()
        assert rows.max() < data.vocabulary == 400
    assert (data.source, data.sequence_length) == ("stories.jsonl", T)


def test_the_manifest_holds_the_hash_of_every_file(config: DataConfig) -> None:
    data = prepare(config)
    files = contents(data.path)
    manifest = files.pop("manifest.json")
    assert data.manifest_sha256 == hashlib.sha256(manifest).hexdigest()
    assert {name: facts["sha256"] for name, facts in data.manifest["files"].items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    assert sorted(files) == [
        "sealed.bin",
        "token_bytes_raw.npy",
        "token_bytes_upstream.npy",
        "tokenizer.json",
        "train.bin",
        "val.bin",
    ]


def test_rows_hold_the_text_of_whole_documents(config: DataConfig) -> None:
    data = prepare(replace(config, sequence_length=1024, eval_tokens=1))
    bpe = load_bpe((data.path / "tokenizer.json").read_text())
    table = np.load(data.path / "token_bytes_raw.npy")
    for row in data.train():
        starts = np.flatnonzero(row == data.bos_id)
        inner = np.split(row, starts[1:])[:-1]  # the last document of a row may be cropped
        assert inner
        for ids in inner:
            story = bpe.decode(ids[1:].tolist())
            assert story in STORIES
            assert int(table[ids].sum()) == len(story.encode())


def stories_of(data: Dataset, rows: np.ndarray) -> set[int]:
    """The numbers of the stories that these rows tell, as far as their beginnings are in there."""
    bpe = load_bpe((data.path / "tokenizer.json").read_text())
    parts = (bpe.decode(ids.tolist()) for row in rows for ids in np.split(row, starts(data, row)))
    return {int(part[6 : part.index(".")]) for part in parts if part.startswith("Story ")}


def starts(data: Dataset, row: np.ndarray) -> np.ndarray:
    return np.flatnonzero(row == data.bos_id) + 1


def write_shards(folder: Path, train: range, val: range) -> Path:
    """A folder in the ancestor's format, with these stories."""
    folder.mkdir()
    for name, numbers in (("shard_00000", train), ("shard_06542", val)):
        texts = [
            f"Story {number}. "
            + f"In a wood lived {number * number} owls — 🦉. " * (number % 12 + 1)
            for number in numbers
        ]
        pq.write_table(pa.table({"text": texts}), folder / f"{name}.parquet")
    return folder


def test_training_validation_and_the_sealed_rows_share_no_document(config: DataConfig) -> None:
    data = prepare(replace(config, sequence_length=600))
    train, val, sealed = (stories_of(data, r) for r in (data.train(), data.val(), data.sealed()))
    assert len(train) > 500
    assert val
    assert sealed
    assert not train & val
    assert not train & sealed
    assert not val & sealed


def test_sealed_rows_begin_behind_all_that_validation_looked_at_and_change_nothing_else(
    tmp_path: Path, config: DataConfig
) -> None:
    shards = str(write_shards(tmp_path / "shards", range(5000, 7000), range(1500)))
    few = prepare(replace(config, source=shards, vocabulary=350, sealed_tokens=T))
    many = prepare(replace(config, source=shards, vocabulary=350))
    assert (few.sealed_rows, many.sealed_rows) == (1, 20)
    before, after = contents(few.path), contents(many.path)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"sealed.bin", "manifest.json"}
    assert max(stories_of(many, many.val())) < 1100
    assert min(stories_of(many, many.sealed())) >= 1000  # behind the documents to choose from


def test_where_text_is_short_a_third_of_it_is_sealed(tmp_path: Path, config: DataConfig) -> None:
    shards = str(write_shards(tmp_path / "shards", range(5000, 7000), range(60)))
    data = prepare(replace(config, source=shards, vocabulary=350, eval_tokens=10**6))
    assert data.val_rows + data.sealed_rows > 20
    assert 0.25 < data.sealed_rows / (data.val_rows + data.sealed_rows) < 0.4
    assert not stories_of(data, data.val()) & stories_of(data, data.sealed())


def test_text_for_one_slice_only_says_what_to_do(tmp_path: Path, config: DataConfig) -> None:
    shards = str(write_shards(tmp_path / "shards", range(5000, 7000), range(39, 40)))
    with pytest.raises(
        HarnessError, match=r"gives 0 sealed validation rows of 32 tokens.*add text or lower"
    ):
        prepare(replace(config, source=shards, vocabulary=350))


# ---- the key ---------------------------------------------------------------------------------------------


def test_the_same_text_gives_the_same_bytes_in_another_place_and_process(
    config: DataConfig, text: Path, tmp_path: Path
) -> None:
    here = prepare(config)
    (tmp_path / "elsewhere").mkdir()
    copy = write_stories(tmp_path / "elsewhere" / text.name)
    program = (
        "from harness.dataset import *; import sys;"
        f"print(prepare_dataset(DataConfig({str(copy)!r}, sequence_length={T}, vocabulary=400,"
        f" eval_tokens={40 * T}), lambda *_: None).path)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "AUTORESEARCH_CACHE": str(tmp_path / "other"), "RAYON_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    there = Path(done.stdout.strip())
    assert there.name == here.path.name
    assert contents(there) == contents(here.path)


def test_what_is_there_is_found_and_not_built_again(config: DataConfig) -> None:
    first = prepare(config)
    inode = (first.path / "train.bin").stat().st_ino
    assert prepare(config) == first
    assert (first.path / "train.bin").stat().st_ino == inode


def test_finding_it_loads_no_heavy_library(config: DataConfig) -> None:
    data = prepare(config)
    program = (
        "from harness.dataset import *; import sys; from pathlib import Path;"
        f"load_dataset(Path({str(data.path)!r})).val();"
        "print({'pyarrow', 'tokenizers', 'torch', 'huggingface_hub'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"set()\n"


@pytest.mark.parametrize(
    "change",
    [
        {"sequence_length": 48},
        {"vocabulary": 390},
        {"eval_tokens": 50 * T},
        {"sealed_tokens": 30 * T},
        {"tokenizer_mb": 1},
    ],
)
def test_everything_that_shapes_it_is_in_the_key(
    config: DataConfig, change: dict[str, int]
) -> None:
    assert prepare(config).path != prepare(replace(config, **change)).path


def test_other_text_is_another_data_set(config: DataConfig, text: Path) -> None:
    before = prepare(config)
    write_stories(text, 700)
    assert prepare(config).path != before.path


def test_progress_rises_from_zero_to_one(config: DataConfig) -> None:
    seen: list[float] = []
    prepare_dataset(config, lambda message, fraction: seen.append(fraction))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


# ---- damage ----------------------------------------------------------------------------------------------


def test_no_data_set_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"There is no data set in .*autoresearch prepare"):
        load_dataset(tmp_path / "nothing")


@pytest.mark.parametrize(
    "name", ["train.bin", "val.bin", "sealed.bin", "tokenizer.json", "token_bytes_raw.npy"]
)
def test_a_missing_or_short_file_is_named_and_mended_by_preparing_again(
    config: DataConfig, name: str
) -> None:
    data = prepare(config)
    whole = contents(data.path)
    os.truncate(data.path / name, 10)
    with pytest.raises(HarnessError, match=f"damaged: {name} has 10 bytes instead of .*prepare"):
        load_dataset(data.path)
    (data.path / name).unlink()
    with pytest.raises(HarnessError, match=f"damaged: {name} is missing"):
        load_dataset(data.path)
    prepare(config)
    assert contents(data.path) == whole


def test_a_changed_byte_table_is_noticed(config: DataConfig) -> None:
    file = prepare(config).path / "token_bytes_raw.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(HarnessError, match=r"token_bytes_raw\.npy has been changed"):
        load_dataset(file.parent)


@pytest.mark.parametrize("key", ["train_rows", "val_rows", "sealed_rows"])
def test_rows_that_a_file_does_not_hold_are_noticed(config: DataConfig, key: str) -> None:
    data = prepare(config)
    more = {**data.manifest, key: data.manifest[key] + 1}
    (data.path / "manifest.json").write_text(json.dumps(more))
    with pytest.raises(HarnessError, match=rf"{key[:-5]}\.bin has .* rows, which manifest\.json"):
        load_dataset(data.path)
    assert prepare(config) == data


def test_a_folder_of_an_earlier_version_is_opened_and_has_nothing_sealed(
    config: DataConfig,
) -> None:
    data = prepare(config)
    (data.path / "sealed.bin").unlink()
    older = {key: value for key, value in data.manifest.items() if key != "sealed_rows"}
    del older["files"]["sealed.bin"]
    (data.path / "manifest.json").write_text(json.dumps(older))
    opened = load_dataset(data.path)
    assert (opened.val_rows, opened.sealed_rows) == (40, 0)
    with pytest.raises(HarnessError, match=r"has no sealed rows.*autoresearch prepare"):
        opened.sealed()


@pytest.mark.parametrize("manifest", ["", "{", "[]", "{}", '{"files": {"train.bin": 7}}'])
def test_a_broken_manifest_is_said_to_be_so(config: DataConfig, manifest: str) -> None:
    data = prepare(config)
    (data.path / "manifest.json").write_text(manifest)
    with pytest.raises(HarnessError, match=r"manifest\.json cannot be read"):
        load_dataset(data.path)
    assert prepare(config) == data


# ---- too little ------------------------------------------------------------------------------------------


def test_text_for_too_few_rows_is_an_error_that_leaves_nothing(
    config: DataConfig, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        HarnessError, match=r"gives 0 validation rows of 60,000 tokens.*sequence_length"
    ):
        prepare(replace(config, sequence_length=60_000))
    folder = tmp_path / "shards"
    folder.mkdir()
    for name, texts in (("shard_00000", STORIES[:20]), ("shard_06542", STORIES[20:])):
        pq.write_table(pa.table({"text": texts}), folder / f"{name}.parquet")
    with pytest.raises(HarnessError, match=r"gives 2 training rows of 600 tokens, and at least 8"):
        prepare(replace(config, source=str(folder), sequence_length=600, vocabulary=300))
    assert visible(cache) == []


def test_a_vocabulary_that_two_bytes_cannot_number_is_refused(config: DataConfig) -> None:
    with pytest.raises(HarnessError, match="vocabulary"):
        prepare(replace(config, vocabulary=70_000))


# ---- crashes, races, full disks --------------------------------------------------------------------------


def visible(cache: Path) -> list[str]:
    """What a preparation left in the folder of data sets, but for the empty lock files."""
    return sorted(file.name for file in (cache / "datasets").iterdir() if file.suffix != ".lock")


CHILD = """
import sys
from harness.dataset import DataConfig, prepare_dataset
def progress(message, fraction):
    if message.startswith("Packing training"):
        print("packing", flush=True)
        sys.stdin.readline()
prepare_dataset(DataConfig(sys.argv[1], sequence_length=32, vocabulary=400, eval_tokens=40 * 32), progress)
"""


@pytest.fixture
def packing_child(text: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process in the midst of preparing the same data set; a line on stdin lets it go on."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(text)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "packing\n"
        yield child
        child.kill()


def test_a_killed_preparation_leaves_nothing_that_counts_and_the_next_one_cleans_up(
    config: DataConfig, cache: Path, packing_child: subprocess.Popen[str]
) -> None:
    packing_child.send_signal(signal.SIGKILL)
    packing_child.wait()
    (leftover,) = visible(cache)
    assert leftover.startswith(".")
    data = prepare(config)
    assert visible(cache) == [data.path.name]


def test_a_second_process_waits_for_the_first_and_takes_its_result(
    config: DataConfig, cache: Path, packing_child: subprocess.Popen[str]
) -> None:
    messages = []

    def progress(message: str, fraction: float) -> None:
        messages.append(message)
        if message.startswith("Another process"):
            assert packing_child.stdin is not None
            packing_child.stdin.close()  # it goes on

    data = prepare_dataset(config, progress)
    assert messages[-1].startswith("Another process")
    assert visible(cache) == [data.path.name]
    assert packing_child.wait() == 0


def test_a_full_disk_says_how_much_is_needed_and_leaves_nothing(
    config: DataConfig, cache: Path
) -> None:
    # A limit on the size of files fails the same writes as a full disk, and needs no rights.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        with pytest.raises(
            HarnessError, match=r"is full: about 1 MB are needed and [\d,]+ MB are free"
        ):
            prepare(config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert visible(cache) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_too(
    config: DataConfig, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(small_disk))
    with pytest.raises(HarnessError, match=r"is full.*AUTORESEARCH_CACHE"):
        prepare(config)
    assert visible(small_disk) == []


def test_a_cache_that_cannot_be_made_says_so(
    config: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", "/dev/null/cache")
    with pytest.raises(HarnessError, match="Cannot make the cache folder"):
        prepare(config)


def test_the_cache_is_private(cache: Path, config: DataConfig) -> None:
    prepare(config)
    assert cache.stat().st_mode & 0o777 == 0o700


# ---- the rehearsal ---------------------------------------------------------------------------------------


def test_this_python_gives_a_data_set_without_network() -> None:
    data = prepare(
        DataConfig("local", sequence_length=256, vocabulary=1024, eval_tokens=8192, local_mb=1)
    )
    assert data.source == "local"
    assert (data.val_rows, data.sealed_rows) == (32, 16)
    assert data.manifest["private"] == list(PRIVATE_PACKAGES)
    assert data.train_tokens > 250_000


@pytest.mark.parametrize(
    "point", ["dataset.before-fill", "dataset.before-manifest", "dataset.before-rename"]
)
def test_wherever_a_preparation_is_killed_there_is_no_half_data_set(
    config: DataConfig, cache: Path, point: str
) -> None:
    from harness.process import own_env

    code = (
        "import sys, json; from harness.dataset import DataConfig, prepare_dataset\n"
        "prepare_dataset(DataConfig(**json.loads(sys.argv[1])), lambda message, done: None)"
    )
    line = [sys.executable, "-c", code, json.dumps(asdict(config))]
    killed = subprocess.run(line, env=own_env(AUTORESEARCH_CRASH=point), check=False)
    assert killed.returncode == -signal.SIGKILL
    # Under the name that a whole one would have there is nothing.
    assert all(name.startswith(".") for name in visible(cache))
    data = prepare(config)
    assert data.train_rows > 0
    assert not list((cache / "datasets").glob(".*.tmp"))
