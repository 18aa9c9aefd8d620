import json

import pytest

from sweeper.results.record import MarginCounts, Score, TrialRecord, plain_rows, rows


def test_a_record_comes_back_from_json_as_it_was(make_study):
    records, _ = make_study()
    confirmed = [record for record in records if record.stage == "confirm"]
    assert all(record.margins and record.reliability and record.history for record in confirmed)
    for record in records:
        line = record.to_json()
        assert "\n" not in line
        again = TrialRecord.from_json(line)
        assert again == record
        assert isinstance(again.history, tuple)
        for row in again.margins:
            assert isinstance(row.found, tuple), "a row of lists could not be hashed"


def test_a_record_of_before_there_were_margins_has_none(make_record):
    data = json.loads(make_record().to_json())
    del data["margins"], data["reliability"]
    old = TrialRecord.from_json(json.dumps(data))
    assert old == make_record()
    assert (old.margins, old.reliability) == ((), ())


def test_a_number_that_json_has_not_is_refused(make_record):
    counts = MarginCounts("test", "a", 1.0, 1.0, (float("nan"),), (0.0,))
    with pytest.raises(ValueError, match="not JSON compliant"):
        make_record(margins=(counts,)).to_json()


def test_rows_are_lists_in_the_order_of_their_fields():
    score = Score("test", "argmax", None, "crack", "iou", 0.5)
    assert plain_rows([score]) == [["test", "argmax", None, "crack", "iou", 0.5]]
    assert rows(Score, plain_rows([score])) == (score,)
    counts = MarginCounts("test", "a", 3.0, 2.0, (1.0, 0.0), (0.0, 1.0))
    assert rows(MarginCounts, json.loads(json.dumps(plain_rows([counts])))) == (counts,)
