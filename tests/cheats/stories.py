"""The data set on which cheats and honest variants are run: short stories of a seeded grammar, prepared as any text is.

Large enough that train.py learns something in a second and that every validation row is another one; the same on every
machine and Python, so that the figures in docs/integrity.md can be had again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from harness.dataset import DataConfig, Dataset, prepare_dataset

LENGTH, VOCABULARY, EVAL_ROWS = 64, 512, 640
STORIES = 5000
_NAMES = [
    "Ada",
    "Bela",
    "Carl",
    "Dora",
    "Emil",
    "Fritz",
    "Greta",
    "Hanna",
    "Ivo",
    "Jana",
    "Kurt",
    "Lena",
    "Mila",
    "Nora",
    "Otto",
    "Paula",
]
_THINGS = [
    "apple",
    "boat",
    "candle",
    "drum",
    "engine",
    "feather",
    "garden",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "ladder",
    "mirror",
    "needle",
    "orange",
    "pencil",
    "quilt",
    "river",
    "stone",
    "table",
    "umbrella",
    "village",
    "window",
    "yarn",
    "bridge",
    "cloud",
    "flower",
    "guitar",
]
_DEEDS = [
    "bought",
    "carried",
    "drew",
    "found",
    "forgot",
    "hid",
    "held",
    "lost",
    "mended",
    "opened",
    "painted",
    "sold",
    "took",
    "washed",
    "wanted",
    "watched",
]
_QUALITIES = [
    "big",
    "blue",
    "broken",
    "clean",
    "dark",
    "empty",
    "green",
    "heavy",
    "hidden",
    "little",
    "loud",
    "new",
    "old",
    "quiet",
    "red",
    "shiny",
    "soft",
    "wet",
]
_PLACES = [
    "at home",
    "by the sea",
    "in the attic",
    "in town",
    "near the old mill",
    "on the hill",
    "under the bridge",
    "behind the barn",
]
_TIMES = [
    "in the morning",
    "at night",
    "after lunch",
    "last winter",
    "on Sunday",
    "before the storm",
    "again",
    "at once",
]
_LINKS = [
    "Then",
    "Later",
    "But",
    "So",
    "Meanwhile",
    "Of course",
    "Nobody knew why, but",
    "In the end",
]


def write_stories(file: Path) -> Path:
    """Write the stories as JSON lines; returns `file`."""
    with file.open("w", encoding="utf-8") as out:
        for text in _stories():
            out.write(json.dumps({"text": text}) + "\n")
    return file


def prepare_stories(folder: Path) -> Dataset:
    """The data set of the stories, in the cache that AUTORESEARCH_CACHE names."""
    folder.mkdir(parents=True, exist_ok=True)
    config = DataConfig(
        str(write_stories(folder / "stories.jsonl")),
        sequence_length=LENGTH,
        vocabulary=VOCABULARY,
        eval_tokens=EVAL_ROWS * LENGTH,
    )
    return prepare_dataset(config, lambda message, fraction: None)


def _stories() -> Iterator[str]:
    """Each story keeps to two people and three things, so that a reader can learn from its beginning."""
    dice = random.Random(1)
    for number in range(STORIES):
        people, things = dice.sample(_NAMES, 2), dice.sample(_THINGS, 3)
        sentences = [_sentence(dice, people, things) for _ in range(dice.randint(4, 9))]
        yield f"Story {number}. " + " ".join(sentences)


def _sentence(dice: random.Random, people: list[str], things: list[str]) -> str:
    thing = f"{dice.choice(_QUALITIES)} {dice.choice(things)}"
    words = [dice.choice(people), dice.choice(_DEEDS), "the", thing]
    words += [dice.choice(group) for group in (_PLACES, _TIMES) if dice.random() < 0.5]
    if dice.random() < 0.4:
        words.insert(0, dice.choice(_LINKS))
    return " ".join(words) + "."
