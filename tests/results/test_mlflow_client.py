import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.results.mlflow_client import one_line, redact, sqlite_path, sqlite_uri


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg2://mlflow:s3cret@db/mlflow", "postgresql+psycopg2://mlflow:***@db/mlflow"),
        ("http://u:p@ss/w:rd@host:5000/x", "http://u:***@host:5000/x"),
        ("https://ghp_token@host", "https://***@host"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:////abs/me@home/mlflow.db", "sqlite:////abs/me@home/mlflow.db"),
        ("mysql+pymysql://db/x?user=u&password=s3cret&ssl=1", "mysql+pymysql://db/x?user=u&password=***&ssl=1"),
        ("two: http://a:b@c and http://d:e@f", "two: http://a:***@c and http://d:***@f"),
    ],
)
def test_passwords_are_not_shown(text, shown):
    assert redact(text) == shown


def test_an_error_becomes_one_short_line():
    assert one_line(ValueError("\n  cannot reach http://u:pw@h \nmore")) == "cannot reach http://u:***@h"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line(ValueError("x" * 5000))) == 300


@pytest.mark.parametrize("path", ["/a/mlflow.db", "/run 50%/é?#&+/mlflow.db", "relative/x.db"])
def test_sqlite_addresses_lead_back(path):
    assert sqlite_path(sqlite_uri(Path(path))) == Path(path)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "http://host", "sqlite:relative"])
def test_addresses_without_an_sqlite_file(uri):
    assert sqlite_path(uri) is None


def test_results_and_tracking_load_without_torch_ray_or_optuna_and_mlflow_only_when_used():
    code = (
        "import sys, sweeper.results.from_mlflow, sweeper.results.parquet, sweeper.results.csv,"
        " sweeper.tracking.courier, sweeper.tracking.mlflow_tracker, sweeper.tracking.sync, sweeper.tracking.browse\n"
        "print(sorted({'torch', 'ray', 'optuna', 'mlflow', 'requests'} & set(sys.modules)))\n"
        "from sweeper.results.mlflow_client import connect; connect('http://127.0.0.1:9')\n"
        "print(sorted({'torch', 'ray', 'optuna'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]


def test_settings_of_the_user_are_kept():
    code = (
        "import os; from sweeper.results.mlflow_client import configure; configure()\n"
        "print(os.environ['MLFLOW_HTTP_REQUEST_TIMEOUT'], os.environ['MLFLOW_HTTP_REQUEST_MAX_RETRIES'])\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**environment, "MLFLOW_HTTP_REQUEST_TIMEOUT": "77"},
    )  # fmt: skip
    assert done.stdout.split() == ["77", "3"]
