"""`autoresearch prepare`: find or build the data set that the settings ask for. The work is the harness's."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from tui.commands.parsing import Parser

NAMED = ("auto", "climbmix", "local")


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `prepare`."""
    parser = add_command(
        commands,
        "prepare",
        _run,
        summary="download or read text, train the tokenizer, pack the rows",
        description="Make the data ready; `run` does it too where it is missing. Sources: climbmix (the\n"
        "shards of the Hugging Face hub), local (text of this Python installation), or a path to\n"
        "parquet, jsonl, txt or md. auto takes what is there.",
        example="autoresearch prepare --source ~/corpus",
    )
    parser.add_argument(
        "--source",
        metavar="auto|climbmix|local|PATH",
        help="where the text comes from (default: [data] source)",
    )


def _run(args: argparse.Namespace) -> int:
    from evolve import settings as config
    from evolve.boot import data_config
    from harness.dataset import prepare_dataset
    from harness.device import detect
    from tui.commands.bar import Bar

    folder = workspace(args)
    wanted = {} if args.source is None else {"data.source": _source(args.source)}
    settings = config.load(folder, gpu=bool(detect().gpus), overrides=wanted)
    with Bar() as bar:
        data = prepare_dataset(data_config(settings), bar)
    print(
        f"Ready: {data.source} text, {data.train_rows:,} training, {data.val_rows:,} validation and "
        f"{data.sealed_rows:,} sealed rows of {data.sequence_length:,} tokens, vocabulary {data.vocabulary:,}."
    )
    print(f"Folder: {data.path}")
    if args.source is not None:
        print(
            f'To use it in runs, put source = "{wanted["data.source"]}" under [data] in autoresearch.toml.'
        )
    return 0


def _source(text: str) -> str:
    """A path is meant from here, not from the workspace."""
    return text if text in NAMED else str(Path(text).expanduser().resolve())
