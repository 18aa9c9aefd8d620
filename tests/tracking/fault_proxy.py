"""An HTTP proxy on loopback that fails on request: what lies between a study and its tracking server on a bad day."""

import http.client
import http.server
import itertools
import random
import socket
import struct
import threading
import time
from collections.abc import Callable

FAULTS = (
    "500",  # an error, nothing done
    "503",
    "429",  # asks to come back in an hour
    "500-after",  # an error, though all was done
    "reset",  # the line goes dead before anything is done
    "reset-after",  # the line goes dead after all was done, before the answer
    "cut",  # half the answer, then the line goes dead
    "cut-json",  # half the answer, as if it were all of it
    "empty",  # done, and an answer without content
    "html",  # the page of some other proxy
    "late",  # the line goes dead, and it is done a moment later
    "slow",
)

Fault = Callable[[str, str], str | None]
"""Given method and path of a request, which of FAULTS to commit; None for none."""

LINE = ("host", "transfer-encoding", "content-length")
"""Headers of one connection, not of what is asked."""

LATE = 0.4
SLOW = 0.15


class FaultProxy(http.server.ThreadingHTTPServer):
    """Forwards to a server on this machine, unless `fault` says otherwise."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.fault: Fault = lambda method, path: None
        self.committed: list[tuple[str, str]] = []
        """Fault and path of each one committed."""
        self.gone = False
        self._late: list[threading.Thread] = []
        self._thread: threading.Thread | None = None
        super().__init__(("127.0.0.1", 0), _Handler)
        self.uri = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self._thread.join()
        self.settle()
        self.server_close()

    def settle(self) -> None:
        """Wait until everything that comes late has come."""
        for thread in self._late:
            thread.join()

    def handle_error(self, request, client_address):
        """A client that gave up is what this is for."""

    def refuse(self) -> None:
        """Be gone: nobody listens on the port any more, and lines that are open go dead."""
        self.gone = True
        self.shutdown()
        self._thread.join()
        self.socket.close()

    def listen(self) -> None:
        """Be back on the same port."""
        self.gone = False
        self.socket = socket.socket(self.address_family, self.socket_type)
        self.server_bind()
        self.server_activate()
        self.__enter__()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _any(self):
        body = self._body()
        fault = "reset" if self.server.gone else self.server.fault(self.command, self.path)
        if fault is not None:
            self.server.committed.append((fault, self.path))
        if fault in ("500", "503", "429"):
            self._answer(int(fault), b"no", {"Retry-After": "3600"})
        elif fault == "html":
            self._answer(200, b"<html>please log in", {"Content-Type": "text/html"})
        elif fault == "reset":
            self._reset()
        elif fault == "late":
            thread = threading.Thread(target=lambda: (time.sleep(LATE), self._forward(body)))
            self.server._late.append(thread)
            thread.start()
            self._reset()
        else:
            if fault == "slow":
                time.sleep(SLOW)
            status, headers, answer = self._forward(body)
            if fault == "500-after":
                self._answer(500, b"no", {})
            elif fault == "reset-after":
                self._reset()
            elif fault == "cut":
                self._answer(status, answer, headers, sent=len(answer) // 2)
                self._reset()
            elif fault == "cut-json":
                self._answer(status, answer[: len(answer) // 2], headers)
            elif fault == "empty":
                self._answer(status, b"", headers)
            else:
                self._answer(status, answer, headers)

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""  # of an empty file, for example
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any  # noqa: N815

    def _forward(self, body):
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in LINE}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() == "content-type"}
            return answer.status, kept, answer.read()
        finally:
            upstream.close()

    def _answer(self, status, body, headers, sent=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])

    def _reset(self):
        """End the connection with RST, not FIN."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Closing the socket alone does not close the files made from it.
        self.rfile.close()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RD)

    def log_message(self, *arguments):
        pass


def mixture(seed: int, share: float, faults=FAULTS) -> Fault:
    """Return a fault for a share of all requests, drawn from a seed; every one of `faults` in turn."""
    draw, lock = random.Random(seed), threading.Lock()
    turns = itertools.cycle(draw.sample(faults, len(faults)))

    def fault(method, path):
        with lock:
            return next(turns) if draw.random() < share else None

    return fault
