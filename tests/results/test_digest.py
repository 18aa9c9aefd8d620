from __future__ import annotations

import dataclasses

import pyarrow as pa

from sweeper.results.assemble import assemble
from sweeper.results.parquet import load, save

from .synthetic_study import make_study


def test_what_is_read_back_has_the_digest_of_what_was_written(tmp_path):
    results = assemble(*make_study())
    save(results, tmp_path)
    assert load(tmp_path).digest == results.digest


def test_how_a_table_is_cut_does_not_matter_and_every_value_does():
    results = assemble(*make_study())
    half = results.scores.num_rows // 2
    cut = pa.concat_tables([results.scores.slice(0, half), results.scores.slice(half)])
    assert dataclasses.replace(results, scores=cut).digest == results.digest
    assert dataclasses.replace(results, meta={**results.meta, "x": 1}).digest != results.digest
    for name, table in results.tables.items():
        if table.num_rows < 2:
            continue
        turned = table.take([1, 0, *range(2, table.num_rows)])
        if not turned.equals(table):
            assert dataclasses.replace(results, **{name: turned}).digest != results.digest, name
        assert dataclasses.replace(results, **{name: table.slice(1)}).digest != results.digest, name


def test_null_is_not_zero_and_not_an_empty_text():
    results = assemble(*make_study())
    for column, value in (("offset", 0.0), ("reason", "")):
        at = results.trials.schema.get_field_index(column)
        field = results.trials.schema.field(at)
        filled = [value if one is None else one for one in results.trials[column].to_pylist()]
        other = results.trials.set_column(at, field, pa.array(filled, field.type))
        assert not other.equals(results.trials)
        assert dataclasses.replace(results, trials=other).digest != results.digest
