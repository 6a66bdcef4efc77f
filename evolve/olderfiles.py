"""How a client, which may not write, reads the journal of an older version as if it were of this one.

Until an engine has brought the file up to date, views of the client's own connection stand before its tables; afterwards the
columns of the file itself come first, under the same connection too. Pure; it opens no file.
"""

from __future__ import annotations

# What each version added: columns, with what they are in older rows; tables, which are empty before it.
_NEW_IN_2 = {
    "experiment": "NULL AS sealed_bpb, '' AS audit, '' AS discounted",
    "candidate": "'' AS voided, NULL AS sealed_gain, NULL AS sealed_gap",
}
_NEW_IN_3 = {
    "experiment": "val_bpb AS fitness, 0 AS epochs, '' AS pruning, "
    "NULL AS host_memory_mb, NULL AS device_memory_mb, 0 AS wished, '' AS killed",
    "candidate": "scores AS fitness, 0 AS island, 0 AS chances, '' AS recommendation, '' AS loss_form, id AS touched, "
    "0 AS boosted, 0 AS wanted, 0 AS approved",
    "llm_call": "'' AS request_sha, '' AS category, '' AS brief, '' AS outcome",
}
# Tables that came with version 3 are empty before it.
_EMPTY_BEFORE_3 = (
    """CREATE TEMP VIEW smoke AS SELECT NULL AS id, NULL AS run, NULL AS candidate, '' AS directory, NULL AS started,
        NULL AS finished, NULL AS outcome, '' AS reason, 0 AS seconds, NULL AS peak_memory_mb, '' AS traceback
        WHERE 0""",
    """CREATE TEMP VIEW scratchpad AS SELECT NULL AS id, NULL AS run, NULL AS time, '' AS source, '' AS who, 0 AS settled,
        '' AS text WHERE 0""",
    """CREATE TEMP VIEW prompt AS SELECT '' AS version, '' AS operator, NULL AS time, '' AS text WHERE 0""",
)
_NEW_IN_4 = {"experiment": "'' AS cause"}
_EMPTY_BEFORE_4 = (
    """CREATE TEMP VIEW ratchet AS SELECT NULL AS id, NULL AS run, NULL AS time, NULL AS candidate, '' AS tip, '' AS target,
        '' AS kind, '' AS state, '' AS reason, NULL AS ended WHERE 0""",
)


def _views(*layers: dict[str, str]) -> tuple[str, ...]:
    columns: dict[str, list[str]] = {}
    for layer in layers:
        for table, added in layer.items():
            columns.setdefault(table, []).append(added)
    return tuple(
        f"CREATE TEMP VIEW {table} AS SELECT *, {', '.join(added)} FROM main.{table}"  # noqa: S608 - our own words
        for table, added in columns.items()
    )


AS_IF: dict[int, tuple[str, ...]] = {
    1: (*_views(_NEW_IN_2, _NEW_IN_3, _NEW_IN_4), *_EMPTY_BEFORE_3, *_EMPTY_BEFORE_4),
    2: (*_views(_NEW_IN_3, _NEW_IN_4), *_EMPTY_BEFORE_3, *_EMPTY_BEFORE_4),
    3: (*_views(_NEW_IN_4), *_EMPTY_BEFORE_4),
}
