"""Models of a hub: a real client, against a hub of the test's own that refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from whisperbench.asked.checkout import ROOT


class _Hub(BaseHTTPRequestHandler):
    """A hub that answers as the real one does for a gated, an unknown and a broken model."""

    def do_GET(self) -> None:
        """Answer with the status and the error code that the model's name asks for."""
        name = self.path.split("/")[4]
        if name == "hangs-up":
            self.close_connection = True
            return
        status, code = {
            "gated": (403, "GatedRepo"),
            "unknown": (401, "RepoNotFound"),
            "moved": (404, "RevisionNotFound"),
        }.get(name, (500, ""))
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        """Answer as to a GET; there is no body in either."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def hub() -> Iterator[str]:
    """Serve the hub on this machine's loopback interface."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


RESOLVE = """
import sys
from whisperbench.whisper.checkpoints import resolve_checkpoint
from whisperbench.errors import WhisperbenchError
from whisperbench.asked.models import ModelSpec
try:
    resolve_checkpoint(ModelSpec.parse(sys.argv[1]))
except WhisperbenchError as error:
    print(type(error).__name__, error)
"""


def _hub_error(endpoint: str, model: str, home: Path, **variables: str) -> str:
    """Resolve a hub model with the real client, in a process that has this hub configured."""
    environment = os.environ | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE, model],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("model", "word"),
    [
        ("owner/gated", "is gated; accept its terms"),
        ("owner/unknown", "no such model, or it is private"),
        (f"owner/moved@{'0' * 40}", "no revision"),
        ("owner/hangs-up", "cannot be had from the hub: RemoteProtocolError"),
        ("owner/two--dashes", "cannot be had from the hub: HFValidationError"),
    ],
)
def test_hub_refusals_are_one_line(hub: str, tmp_path: Path, model: str, word: str) -> None:
    """Gated, unknown, moved and unnameable models, and a hub that hangs up, are each one line."""
    line = _hub_error(hub, model, tmp_path)
    assert line.startswith("ModelError")
    assert word in line
    assert "\n" not in line


def test_unreachable_hub_is_one_line(tmp_path: Path) -> None:
    """A hub that nothing listens for, and offline mode, are the same clear error."""
    for variables in ({}, {"HF_HUB_OFFLINE": "1"}):
        line = _hub_error("http://127.0.0.1:9", "openai/whisper-tiny", tmp_path, **variables)
        assert "the hub cannot be reached" in line
        assert "dummy:tiny" in line
        assert "\n" not in line
