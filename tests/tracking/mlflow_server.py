"""A real MLflow server on loopback, started as `sweeper browse` starts it."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from sweeper.results.mlflow_client import sqlite_uri
from sweeper.tracking.browse import browse_command, browse_environment


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return None, b""


class Server:
    """`browse_command` as a process that can be stopped and started again on the same port."""

    def __init__(self, folder):
        self.folder = folder
        self.store = sqlite_uri(folder / "mlflow.db")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        command = browse_command(self.store, str(self.folder / "served"), port=self.port)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **browse_environment(self.store)}, cwd=self.folder, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + 90
        while get(f"{self.uri}/health")[0] != 200:
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < end, "the server did not come up"
            time.sleep(0.1)

    def stop(self):
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(30)
            self.process = None
