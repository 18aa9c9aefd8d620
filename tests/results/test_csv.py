import csv
import json

from sweeper.results.assemble import assemble
from sweeper.results.csv import export_csv


def test_csv_holds_the_tables(make_study, tmp_path):
    results = assemble(*make_study())
    for path, table in zip(export_csv(results, tmp_path / "csv"), (results.trials, results.scores), strict=True):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == table.num_rows
        for row, wanted in zip(rows, table.to_pylist(), strict=True):
            assert row == {name: written(value) for name, value in wanted.items()} | numbers(row, wanted)


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
            assert json.loads(row[name]) == value, name
            exact[name] = row[name]
    return exact
