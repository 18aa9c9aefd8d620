"""Class and split files as no one means to write them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from sweeper.data.folder import FolderSource
from sweeper.errors import DataError

CLASSES = '[{"index": 0, "name": "background"}, {"index": 1, "name": "crack"}]'


def refusal(shelf, ending: str, text: str) -> str:
    path = shelf.root / f"strange.{ending}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError) as caught:
        FolderSource.of(shelf.settings(classes=str(path)))
    message = str(caught.value)
    assert "strange" in message
    return message


JSON = {
    "key twice": ('{"classes": [], "classes": []}', "the key 'classes' stands twice"),
    "NaN": ('{"classes": NaN}', "NaN is not a finite number"),
    "1e999": ('{"classes": 1e999}', "inf is not a finite number"),
    "digits": ('{"classes": ' + "9" * 10_000 + "}", "beyond 64 bits"),
    "depth": ("[" * 100_000, "too deeply nested"),
    "closed depth": ("[" * 500 + "]" * 500, "too deeply nested"),
    "surrogate": ('{"classes": "\\ud800"}', "U+D800"),
    "NUL": (CLASSES.replace("crack", "cr\\u0000ck"), "U+0000"),
    "empty": ("", "not valid JSON"),
    "cut short": (CLASSES[:40], "not valid JSON"),
    "not UTF-8": ("\ud800", "is not UTF-8 text"),
    "a number": ("3", "lists no classes"),
    "ignore is a number": (f'{{"classes": {CLASSES}, "ignore": 3}}', "ignore"),
    "ignore is a map": (f'{{"classes": {CLASSES}, "ignore": {{"index": 3}}}}', "ignore"),
    "mask_format is a list": (f'{{"classes": {CLASSES}, "mask_format": []}}', "mask_format is"),
    "name is a list": ('[{"index": 0, "name": ["a"]}, {"index": 1, "name": "b"}]', "name"),
}

YAML = {
    "alias bomb": (
        "a: &a [" + "x, " * 20 + "]\n" + "".join(f"{c}: &{c} [{f'*{p}, ' * 20}]\n" for p, c in pairwise("abcdef")),
        "too many",
    ),
    "depth": ("[" * 50_000, "too deeply nested"),
    "tag": ("classes: !!python/object/apply:os.getcwd []", "the tag"),
    "key twice": ("classes: []\nclasses: []", "strange.yaml:2: "),
    "empty": ("", "lists no classes"),
    "tab": ("classes:\n\t- a", "indent with spaces"),
}


@pytest.mark.parametrize(("text", "says"), JSON.values(), ids=JSON)
def test_json(shelf, text, says):
    assert says in refusal(shelf, "json", text)


@pytest.mark.parametrize(("text", "says"), YAML.values(), ids=YAML)
def test_yaml(shelf, text, says):
    assert says in refusal(shelf, "yaml", text)


def test_words_are_words(shelf):
    """To YAML 1.1 these names are false and a date."""
    path = shelf.root / "strange.yaml"
    path.write_text("- {index: 0, name: no}\n- {index: 1, name: 2001-01-01}\n")
    source = FolderSource.of(shelf.settings(classes=str(path)))
    assert [one.name for one in source.classes] == ["no", "2001-01-01"]


def test_a_byte_order_mark_and_line_ends_of_windows(shelf):
    path = shelf.root / "strange.json"
    path.write_bytes(b"\xef\xbb\xbf" + CLASSES.replace(",", ",\r\n").encode())
    assert len(FolderSource.of(shelf.settings(classes=str(path))).classes) == 2


def test_a_split_file_may_be_long(make_shelf):
    shelf = make_shelf(splits=None)
    names = [f"picture {number}" for number in range(50_000)]
    path = shelf.root / "splits.json"
    path.write_text(json.dumps({"train": names, "val": ["c"], "test": ["d"]}))
    with pytest.raises(DataError, match="has no picture"):  # read, and only then judged
        FolderSource.of(shelf.settings())
