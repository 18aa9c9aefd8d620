"""No password of an address is shown, logged or kept, whatever stands around it."""

import json
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.errors import SweeperError
from sweeper.results.mlflow_secrets import one_line, redact, without_credentials
from sweeper.tracking import uri as address

FUZZ = settings(max_examples=int(os.environ.get("SWEEPER_FUZZ", "100")), deadline=None, derandomize=True)

SECRETS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"], exclude_characters="'\"<>"), min_size=6)
"""A password as someone may type it: also with what an address would want percent-encoded."""
SERVERS = st.sampled_from(["http", "https", "postgresql+psycopg2", "mysql+pymysql", "postgresql", "htp", "file"])
TAILS = st.sampled_from(["", "/", "/mlflow", ":5000", ":five/x?y=1", "/d?sslmode=require&connect_timeout=3"])
AROUND = st.sampled_from(
    ["{}", "could not reach {}", "'{}' (and more)", "url={}, refused", '{{"uri": "{}"}}', "[{}]: 5"]
)


def secret(text):
    """The text within a password that can be told from everything else."""
    return f"S3{text}7x"


@FUZZ
@given(SECRETS, SERVERS, TAILS, AROUND)
def test_the_password_of_an_address_is_not_shown(text, scheme, tail, around):
    found = redact(around.format(f"{scheme}://mlflow:{secret(text)}@db.host{tail}"))
    assert "S3" not in found
    assert "7x" not in found
    assert "db.host" in found


@FUZZ
@given(SECRETS, SERVERS, TAILS, AROUND)
def test_neither_is_a_lone_token_or_the_field_of_a_query(text, scheme, tail, around):
    clean = secret("".join(one for one in text if one.isalnum()))
    for form in (f"{scheme}://{clean}@host{tail}", f"{scheme}://{clean}:@host{tail}"):
        assert clean not in redact(around.format(form))
    for name in ("password", "access_token", "api_key", "apikey", "X-Amz-Signature", "sslpassword", "sig"):
        assert clean not in redact(around.format(f"{scheme}://host/x?a=1&{name}={clean}&b=2"))


@pytest.mark.parametrize(
    "text",
    [
        "connect(host='h', password='S3cr et', user='u')",
        "{'password': 'S3cret', 'user': 'u'}",
        '{"api_key": "S3cret"}',
        "Authorization: Bearer S3cret.abc-def",
        "{'Authorization': 'Basic UzNjcmV0UzNjcmV0'}".replace("UzNjcmV0UzNjcmV0", "S3cretS3cret"),
        "headers: bearer S3cret123456",
        "MLFLOW_TRACKING_PASSWORD=S3cret was not accepted",
        "https://h/x?token%3DS3cret",
        "--set=tracking.uri=postgresql+psycopg2://u:S3cret@h/d",
    ],
)
def test_other_places_where_secrets_stand(text):
    assert "S3c" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////home/a@b/runs/x/mlflow.db",
        "http://host:5000/mlflow",
        "mail me@here.org about http://host",
        "the token loss is nan at step 3; signature unknown",
        "http://host:5000: connection refused",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_the_user_stays_as_it_says_whose_password_is_meant():
    assert redact("http://ann:S3cret@host/x") == "http://ann:***@host/x"


@FUZZ
@given(SECRETS, SERVERS, TAILS)
def test_what_is_stored_and_marked_holds_no_password(text, scheme, tail):
    uri = f"{scheme}://mlflow:{secret(text)}@db.host{tail}"
    stored = without_credentials(uri)
    assert "S3" not in stored
    assert "7x" not in stored
    assert stored.startswith(f"{scheme}://db.host")
    assert address.target_id(uri, "e") == address.target_id(f"{scheme}://other:pw@db.host{tail}", "e")


@pytest.mark.parametrize(
    ("uri", "stored"),
    [
        (
            "postgresql+psycopg2://u:a/b@h/d?password=S3cret&sslmode=require",
            "postgresql+psycopg2://h/d?sslmode=require",
        ),
        ("postgresql+psycopg2://h/d?password=S3cret", "postgresql+psycopg2://h/d"),
        ("http://ann:S3cret@h:5000/p@v2", "http://h:5000/p@v2"),
        ("http://h:5000/p@v2?access_token=S3cret", "http://h:5000/p@v2"),
        ("http://t0ken@h", "http://h"),
        ("http://h", "http://h"),
    ],
)
def test_what_is_left_of_an_address_to_be_stored(uri, stored):
    assert without_credentials(uri) == stored


@FUZZ
@given(SECRETS, st.sampled_from(["http", "postgresql", "postgresql+psycopg2", "htp", "databricks"]), TAILS)
def test_checking_an_address_shows_no_password(monkeypatch_connections, text, scheme, tail):
    with pytest.raises(SweeperError) as caught:
        address.check(f"{scheme}://mlflow:{secret(text)}@127.0.0.1{tail}")
    assert "S3" not in str(caught.value)
    assert "7x" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def monkeypatch_connections():
    """Nothing is reached: every error says what it was asked to reach, as those of libraries do."""
    import requests

    def refuse(url, **keywords):
        raise requests.exceptions.ConnectionError(f"cannot reach {url} with {keywords}")

    def unreachable(*arguments):
        raise ConnectionError(f"cannot reach {arguments}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "get", refuse)
        patch.setattr(address, "find_spec", lambda module: object())
        patch.setattr(address.socket, "create_connection", unreachable)
        patch.setattr(address, "_within_time", lambda uri, probe: probe())
        yield


def test_an_error_is_one_short_line_without_passwords():
    error = ValueError("\n  http://u:S3cret" + "x" * 500 + "@host went away\nand more")
    assert one_line(error) == "http://u:***@host went away"
    assert len(one_line(ValueError("x" * 10**7))) == 300
    assert one_line(ValueError()) == "ValueError"
    assert "S3cret" not in one_line(ValueError("y" * 280 + " http://u:S3cretpassword@host")), "cut after, not before"


@pytest.mark.parametrize("text", ["://:" * 5000, "password" * 2500, "bearer " * 2800, "a_" * 10000, "x=" * 10000])
def test_no_text_takes_long(text):
    start = time.process_time()
    one_line(ValueError(text))
    json.dumps(redact(text[:2000]))
    assert time.process_time() - start < 5
