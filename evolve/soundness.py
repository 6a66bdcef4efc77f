"""Is a journal whole? SQLite's own checks, and what holds of every run whatever was killed when, as plain queries.

*Damage* is a file that SQLite cannot trust: nothing may be written to it any more. *Oddities* are facts that do not fit
each other, in a file that is sound: an engine goes on and says so, and `repair` mends them. It only reads.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

SHOWN = 3  # of each kind of fault, before it says how many more
DAMAGE = (
    "{} is damaged ({}); `autoresearch doctor --repair` brings back all of it that can be read."
)


@dataclass(frozen=True, slots=True)
class Soundness:
    """What was found in one file at one instant."""

    damage: tuple[str, ...]
    oddities: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Nothing is wrong."""
        return not (self.damage or self.oddities)


def examine(db: sqlite3.Connection) -> Soundness:
    """Look at everything; about 10 ms for each MB of the file. Raises nothing that SQLite says of a damaged file."""
    try:
        damage = [row[0] for row in db.execute(f"PRAGMA quick_check({SHOWN})") if row[0] != "ok"]
        if not damage:
            damage = _homeless(db)
        oddities = () if damage else odd(db)
    except sqlite3.DatabaseError as error:
        return Soundness((str(error),), ())
    return Soundness(tuple(_one_line(text) for text in damage), oddities)


def odd(db: sqlite3.Connection) -> tuple[str, ...]:
    """Every fact that does not fit the others, a sentence each."""
    found: list[str] = []
    for sentence, query in _HOLDS:
        rows = db.execute(query).fetchmany(SHOWN + 1)
        found += [sentence.format(*row) for row in rows[:SHOWN]]
        if len(rows) > SHOWN:
            found.append("There are more of this kind.")
    return tuple(found)


def _homeless(db: sqlite3.Connection) -> list[str]:
    """Rows that name others which are not there."""
    rows = db.execute("PRAGMA foreign_key_check").fetchmany(SHOWN)
    return [f"row {row[1]} of {row[0]} names a row of {row[2]} that is not there" for row in rows]


def _one_line(text: str) -> str:
    """The first thing that SQLite says; it puts a heading and one line for each page."""
    lines = [line for line in text.splitlines() if line and not line.startswith("***")]
    return (lines or [text])[0]


# What holds at every instant, as (sentence, query for the rows where it does not).
_HOLDS: tuple[tuple[str, str], ...] = (
    (
        "Run {0} counts to #{1}, but has {2} candidates.",
        "SELECT run, max(id) AS last, count(*) AS n FROM candidate GROUP BY run HAVING last != n",
    ),
    (
        "#{0} names other parents than its links do.",
        """SELECT c.id FROM candidate AS c WHERE json_array_length(c.parents) !=
        (SELECT count(*) FROM parent AS p WHERE p.run = c.run AND p.candidate = c.id
            AND json_extract(c.parents, '$[' || p.position || ']') = p.parent)""",
    ),
    (
        "#{0} has {1} children, but counts {2}.",
        """SELECT c.id, coalesce(n, 0) AS there, c.children FROM candidate AS c LEFT JOIN
        (SELECT run, parent, count(*) AS n FROM parent GROUP BY run, parent) AS p
        ON p.run = c.run AND p.parent = c.id WHERE there != c.children""",
    ),
    (
        "#{0} keeps {1} scores, but its trainings have {2} that count.",
        """SELECT c.id, json_array_length(c.scores) AS kept, coalesce(n, 0) AS there FROM candidate AS c LEFT JOIN
        (SELECT run, candidate, count(*) AS n FROM experiment WHERE outcome = 'ok' AND discounted = ''
            GROUP BY run, candidate) AS e ON e.run = c.run AND e.candidate = c.id WHERE kept != there""",
    ),
    (
        "#{0} keeps other scores than its trainings have.",
        """SELECT c.id FROM candidate AS c JOIN
        (SELECT run, candidate, sum(val_bpb) AS measured FROM experiment WHERE outcome = 'ok' AND discounted = ''
            GROUP BY run, candidate) AS e ON e.run = c.run AND e.candidate = c.id
        WHERE abs(measured - (SELECT sum(value) FROM json_each(c.scores))) > 1e-9 * (1 + abs(measured))""",
    ),
    (
        "#{0} is training, but no training of it runs.",
        """SELECT id FROM candidate AS c WHERE state = 'training' AND NOT EXISTS
        (SELECT 1 FROM experiment WHERE run = c.run AND candidate = c.id AND finished IS NULL)""",
    ),
    (
        "Training {0} of #{1} runs, but #{1} is {2}.",
        """SELECT e.id, e.candidate, c.state FROM experiment AS e JOIN candidate AS c
        ON c.run = e.run AND c.id = e.candidate WHERE e.finished IS NULL AND c.state != 'training'""",
    ),
    (
        "#{0} is dropped, but has the verdict {1}.",
        "SELECT id, coalesce(verdict, 'of nobody') FROM candidate WHERE state = 'dropped' "
        "AND verdict IS NOT 'dropped'",
    ),
    (
        "#{0} is what main is to hold, but it has no verdict that says so.",
        """SELECT c.id FROM run JOIN candidate AS c ON c.run = run.id AND c.id = run.incumbent
        WHERE c.verdict IS NULL""",
    ),
    (
        "The calls of run “{0}” cost ${1:.4f}, but ${2:.4f} are booked.",
        """SELECT run.name, coalesce(sum(c.dollars), 0) AS paid, run.dollars AS booked FROM run
        LEFT JOIN llm_call AS c ON c.run = run.id AND c.status != 'reserved'
        GROUP BY run.id HAVING abs(paid - booked) > 1e-6 * (1 + abs(booked))""",
    ),
    (
        "Something refers to line {0} of the story, which ends before.",
        """SELECT last FROM (SELECT max(coalesce((SELECT max(judged) FROM candidate), 0),
            coalesce((SELECT max(promotion) FROM run), 0)) AS last)
        WHERE last > (SELECT coalesce(max(id), 0) FROM event)""",
    ),
)
