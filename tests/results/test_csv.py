import csv
import json

import numpy as np

from sweeper.results.assemble import assemble
from sweeper.results.csv import export_csv


def test_csv_holds_the_tables(make_study, tmp_path):
    results = assemble(*make_study())
    paths = export_csv(results, tmp_path / "csv")
    assert [path.name for path in paths] == [f"{name}.csv" for name in results.tables]
    for path, table in zip(paths, results.tables.values(), strict=True):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == table.num_rows
        for row, wanted in zip(rows, map(flat, table.to_pylist()), strict=True):
            assert row == {name: written(value) for name, value in wanted.items()} | numbers(row, wanted)


def flat(row):
    """A list of numbers is written as a column per number."""
    lists = {name: value for name, value in row.items() if isinstance(value, list)}
    numbers = {f"{name}_{place}": value for name, each in lists.items() for place, value in enumerate(each)}
    return {name: value for name, value in row.items() if name not in lists} | numbers


def written(value):
    """What a CSV reader gets back for null, truth values and text."""
    return (
        "" if value is None else {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
    )


def numbers(row, wanted):
    """Numbers may be spelled in several ways; what counts is that they read back exactly."""
    exact = {}
    for name, value in wanted.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            read = json.loads(row[name])
            # Counts of a histogram have single precision, and so many digits.
            assert (np.float32(read) if name.startswith(("found_", "alarms_")) else read) == value, name
            exact[name] = row[name]
    return exact
