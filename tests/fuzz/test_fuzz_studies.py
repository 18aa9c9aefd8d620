"""Study files and `--set`: a study, or one StudyError that names the file. Never anything else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sweeper.errors import StudyError
from sweeper.study.load import load_study
from sweeper.study.schema import Study

from .amount import TRIED, inputs
from .mutations import applied, edits
from .telling import told

WHOLE = """\
name: fuzzed  # a comment
families:
  cross_entropy: {}
  focal: {gamma: {uniform: [0, 5]}}
  tversky: {beta: {uniform: [0.1, 0.9]}, alpha: {complement: beta}}
data: &data {source: raster_log, patch: 64, limit: 100}
imbalance: {levels: [0.93, 0.95], reference: 0.95}
model: {arch: unet, encoder: resnet18, depth: 3}
training: {epochs: 5, batch_size: 16, lr: {log_uniform: [1e-4, 1e-2]}, augment: [hflip]}
search: {trials: 4, levels: all, seed: 0}
confirm: {seeds: 2, include_default: true}
resources: {cpu: 1, gpu: auto, concurrent: 2}
tracking: {uri: null, experiment: "two words"}
"""

TOKENS = [
    b"\t", b"\n", b"\r", b" ", b":", b": ", b"- ", b"? ", b"&a ", b"*a", b"!!python/name:os.system ", b"!!float ",
    b"!!set ", b"%YAML 1.1\n", b"---\n", b"...\n", b"<<: *data", b"[", b"]", b"{", b"}", b'"', b"'", b"|\n", b">\n",
    b"#", b"~", b"null", b"no", b"1e999", b".nan", b"-.inf", b"9" * 400, b"0x1F", b"010", b"1_000", b"2001-01-01",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\x1b", b"\xe2\x80\xa8", b"\xed\xa0\x80", b'"\\ud800"', b'"\\UFFFFFFFF"',
    b"{uniform: [1, 0]}", b"{choice: []}", b"{complement: gamma}", b"[" * 40, b"- " * 40, b"@", b"`", b"\\",
]  # fmt: skip

SINGLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["auto", "all", "focal", "gamma", "~/x", "nobody:at_all", "a" * 300, "\ud800", "1e999"]),
)
VALUE = st.recursive(
    SINGLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
SECTIONS = sorted(yaml.safe_load(WHOLE))
KEYS = sorted({key for body in yaml.safe_load(WHOLE).values() if isinstance(body, dict) for key in body})


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "study.yaml"


def check(source: object, named: str, *overrides: str) -> None:
    """Load a study; whatever comes of it must be whole."""
    loaded: list[Study] = []
    message = told(StudyError, lambda: loaded.append(load_study(source, overrides=overrides)))  # type: ignore[arg-type]
    if message is None:
        json.dumps(loaded[0].to_dict(), allow_nan=False).encode()
        return
    message.encode()
    assert all(line.startswith((named, "--set")) for line in message.splitlines()), message
    assert len(message) < 200_000


@inputs(150)
@given(edits(TOKENS))
def test_a_study_file_that_something_happened_to(file, changes):
    TRIED["studies, mutated"] += 1
    file.write_bytes(applied(WHOLE.encode(), changes))
    check(file, str(file))


@inputs(150)
@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(TOKENS), max_size=30).map(b"".join)))
def test_bytes_that_never_were_a_study(file, content):
    TRIED["studies, bytes"] += 1
    file.write_bytes(content)
    check(file, str(file))


@inputs(100)
@given(st.sampled_from(SECTIONS), st.sampled_from(KEYS) | st.text(max_size=5), VALUE, st.booleans())
def test_any_value_at_any_key(section, key, value, whole):
    TRIED["studies, values"] += 1
    study = yaml.safe_load(WHOLE)
    body = study[section]
    study[section] = value if whole or not isinstance(body, dict) else {**body, key: value}
    check(study, "study")


@inputs(100)
@given(
    st.one_of(
        st.builds("{}.{}={}".format, st.sampled_from(SECTIONS), st.sampled_from(KEYS), st.text(max_size=20)),
        st.builds("{}={}".format, st.text(max_size=10), st.text(max_size=10)),
        st.builds(
            lambda section, key, tokens: f"{section}.{key}=" + b"".join(tokens).decode("utf-8", "surrogateescape"),
            st.sampled_from(SECTIONS),
            st.sampled_from(KEYS),
            st.lists(st.sampled_from(TOKENS), max_size=6),
        ),
        st.text(max_size=20),
    )
)
def test_any_words_after_set(override):
    TRIED["--set"] += 1
    check(yaml.safe_load(WHOLE), "study", override)
