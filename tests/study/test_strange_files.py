"""Study files as no one means to write them: one message with file and line, in little time and memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import StudyError
from sweeper.study.load import load_study

BASE = "families: [cross_entropy]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.yaml"


def refusal(source: object, **options: object) -> str:
    with pytest.raises(StudyError) as caught:
        load_study(source, **options)  # type: ignore[arg-type]
    return str(caught.value)


REFUSED = {
    "NUL": (BASE + "name: a\0b", "2: (file): holds the character U+0000"),
    "NUL by escape": (BASE + 'name: "a\\0b"', "2: (file): a text holds the character U+0000"),
    "lone surrogate": (BASE + 'name: "\\ud800"', "U+D800"),
    "beyond Unicode": (BASE + 'name: "\\U00110000"', "2: (file): "),
    "far beyond Unicode": (BASE + 'name: "\\UFFFFFFFF"', "2: (file): "),
    "unseen line break": (BASE + "# a comment\u2028data: x", "2: (file): holds the character U+2028"),
    "byte order mark in a key": (BASE + "\ufeffname: x", "2: (file): the key '\\ufeffname' holds characters"),
    "tab": ("families:\n\t- dice", "2: (file): found character '\\t' that cannot start any token; indent with spaces"),
    "empty float": (BASE + 'name: !!float ""', "the tag"),
    "word as bool": (BASE + "name: !!bool maybe", "the tag"),
    "date as key": (BASE + "!!timestamp x: 1", "the tag"),
    "binary as key": (BASE + "!!binary eA==: 1", "the tag"),
    "Python object": (BASE + "name: !!python/object/apply:os.getcwd []", "the tag"),
    "map as text": ("families: !!str {a: 1}", "the tag"),
    "null as key": (BASE + "~: 1", "the key None is not a word"),
    "true as key": (BASE + "true: 1", "the key True is not a word"),
    "list as key": (BASE + "? [a]\n: 1", "a list or a map stands where a key should"),
    "key that holds itself": (BASE + "? &a [*a]\n: 1", "a list or a map stands where a key should"),
    "alias to itself": (BASE + "data: &a {x: *a}", "too deeply nested"),
    "unknown alias": (BASE + "data: *a", "found undefined alias 'a'"),
    "merge key": (BASE + "data:\n  <<: {patch: 32}", "3: (file): merge keys (<<) are not read; write the keys out"),
    "two documents": (BASE + "---\nname: x", "2: (file): holds a second document"),
    "10,000 digits": (BASE + "search: {seed: " + "9" * 10_000 + "}", "2: (file): a whole number is beyond 64 bits"),
    "400 digits": (BASE + "search: {seed: " + "9" * 400 + "}", "2: (file): a whole number is beyond 64 bits"),
    "version of 5,000 digits": ("%YAML " + "9" * 5000 + ".1\n---\n" + BASE, "1: (file): "),
    "1e999": (BASE + "training: {lr: 1e999}", "2: (file): inf is not a finite number"),
    ".inf": (BASE + "training: {divergence: .inf}", "2: (file): inf is not a finite number"),
    ".nan": (BASE + "training: {lr: .nan}", "2: (file): nan is not a finite number"),
    "brackets": (BASE + "data: " + "[" * 50_000, "2: (file): expands to too many or too deeply nested"),
    "braces": (BASE + "data: " + "{a: " * 50_000, "2: (file): expands to too many or too deeply nested"),
    "dashes": (BASE + "data:\n" + "- " * 50_000, "3: (file): expands to too many or too deeply nested"),
    "many values": (BASE + "data: [" + "1," * 45_000 + "]", "2: (file): expands to too many"),
    "a long text many times": ("a: &a " + "x" * 100_000 + f"\nfamilies: [{', '.join(['*a'] * 50)}]", "too many"),
    "too large": (BASE + "#" * 1_000_000, "is larger than 1,000,000 bytes"),
    "many families": (f"families: [{', '.join(f'f{n}' for n in range(600))}]", "lists 600 families; compare at most"),
    "many choices": (
        f"families: {{focal: {{gamma: {{choice: {list(range(200))}}}}}}}",
        "choice lists 200 values; list at most 100",
    ),
    "many seeds": (BASE + "confirm: {seeds: 9000000000000000000}", "confirm.seeds: 9000000000000000000: "),
    "no width": (BASE + "model: {depth: 3, decoder_channels: [8, -1, 8]}", "decoder_channels.1: -1 is no width"),
    "no for false": (BASE + "confirm: {include_default: no}", "'no' is neither true nor false; write true or false"),
    "hexadecimal": (BASE + "training: {epochs: 0x1F}", "'0x1F' is not a whole number"),
    "underscores": (BASE + "training: {epochs: 1_000}", "'1_000' is not a whole number"),
    "sexagesimal": (BASE + "training: {epochs: 12:30}", "'12:30' is not a whole number"),
}


@pytest.mark.parametrize(("text", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_plain_study_is_told_in_one_message(file, text, says):
    file.write_bytes(text.encode("utf-8"))
    message = refusal(file)
    assert says in message
    assert message.startswith(str(file))
    assert len(message) < 2000


def test_a_wrong_value_is_told_once(file):
    file.write_text(BASE + "training: {epochs: 0x1F}")
    assert refusal(file).count("\n") == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "latin-1"])
def test_other_encodings(file, encoding):
    file.write_bytes(("\ufeff" if encoding == "utf-16-be" else "").encode(encoding) + (BASE + "# é").encode(encoding))
    assert "save the file as UTF-8" in refusal(file)


@pytest.mark.parametrize(
    "text", [BASE + "training: {epochs: 3}", "\ufeff" + BASE + "training:\n  epochs: 3"], ids=["plain", "BOM"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_and_a_byte_order_mark(file, text, end):
    file.write_bytes(text.replace("\n", end).encode())
    assert load_study(file).training.epochs == 3


def test_words_that_yaml_1_1_takes_for_something_else(file):
    for word in ("no", "on", "off", "y", "2001-01-01"):
        file.write_text(BASE + f"name: {word}\ntracking: {{experiment: {word}}}")
        study = load_study(file)
        assert (study.name, study.experiment) == (word, word)
    file.write_text(BASE + "tracking: {experiment: 12:30}")
    assert load_study(file).experiment == "12:30"
    file.write_text(BASE + "tracking: {experiment: =}")
    assert load_study(file).experiment == "="


def test_anchors_and_aliases_are_read(file):
    file.write_text("families:\n  dice: {smooth: &s 1.5}\n  tversky: {smooth: *s}\n")
    families = load_study(file).families
    assert families["dice"]["smooth"] == families["tversky"]["smooth"]


def test_a_file_that_never_ends_is_not_read_to_its_end():
    assert "is larger than" in refusal(Path("/dev/zero"))


def test_paths_that_are_none(file, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, says in (("loop", "is no path"), ("~nobody_of_that_name/x", "is no path"), ("a" * 300, "no file")):
        file.write_text(BASE + f"extends: {path}")
        assert f"{file}:2: extends: " in refusal(file)
        assert says in refusal(file)
    file.write_text(BASE + "data: {images: loop/x, masks: m, classes: c}")
    assert f"{file}:2: data.images: " in refusal(file)
    assert "Symlink loop" in refusal(tmp_path / "loop")
    assert "directory" in refusal(tmp_path).lower()


def test_a_long_chain_of_files(tmp_path):
    (tmp_path / "0.yaml").write_text(BASE)
    for number in range(1, 60):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number - 1}.yaml")
    assert load_study(tmp_path / "15.yaml").families
    assert "more than 20 files that extend each other" in refusal(tmp_path / "59.yaml")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("training.epochs=5\nfamilies: [nonsense]", "--set training.epochs"),
        ("name=#1", "is a comment in YAML"),
        ("name=&a", "name"),
        ("name=[1", "--set name: (file): "),
        ("=1", "is no key of a study"),
        ("a..b=1", "is no key of a study"),
        ("training.=1", "is no key of a study"),
        ("a\x1b[31m=1", "is no key of a study"),
        (".".join("a" * 5000) + "=1", "has 5000 parts"),
        ("training.lr=1e999", "inf is not a finite number"),
        ("training.lr=" + "[" * 5000, "too deeply nested"),
        ("name=!!python/name:os.system", "the tag"),
        ("extends=other.yaml", "was not given in a study file"),
        ("name=\ud800", "holds the character U+D800"),
    ],
)
def test_odd_values_on_the_command_line(file, override, says):
    file.write_text(BASE)
    message = refusal(file, overrides=[override])
    assert says in message
    assert "\x1b" not in message


def test_all_odd_values_are_told_at_once(file):
    file.write_text(BASE)
    message = refusal(file, overrides=["a", "name=[1", "b..c=1"])
    assert len(message.splitlines()) == 3


def test_a_value_on_the_command_line_may_be_a_map(file):
    file.write_text(BASE)
    study = load_study(file, overrides=["training=epochs: 7", "tracking.uri="])
    assert study.training.epochs == 7
    assert study.tracking.uri is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"training": {"lr": float("nan")}}, "nan is not a finite number"),
        ({"training": {"epochs": 10**400}}, "beyond 64 bits"),
        ({"training": {1.5: 1}}, "the key 1.5 is not a word"),
        ({"training": {"lr": object()}}, "a object is no plain value"),
        ({"extends": "base.yaml"}, "was not given in a study file"),
    ],
)
def test_contents_from_python_are_checked_too(change, says):
    assert says in refusal({"families": ["cross_entropy"], **change})


def test_contents_that_hold_themselves():
    study: dict[str, object] = {"families": ["cross_entropy"]}
    study["data"] = study
    assert "too deeply nested" in refusal(study)


def test_a_module_that_ends_the_program_is_a_loss_that_cannot_be_imported(file, tmp_path, monkeypatch):
    (tmp_path / "ends_the_program.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    file.write_text("families: ['ends_the_program:loss']")
    assert "cannot be imported: SystemExit" in refusal(file)
