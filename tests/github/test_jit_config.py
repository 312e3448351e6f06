"""What root asks GitHub for before each job, and the service that does so."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from whisperbench.asked.checkout import ROOT

SCRIPTS = ROOT / "scripts" / "runner"
UNIT = SCRIPTS / "whisperbench-runner@.service"
CARD = "GPU-90c3aaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
TIMEOUT_S = 60


class _Server(HTTPServer):
    answer: tuple[int, Any] = (201, {"encoded_jit_config": "a-configuration"})

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str | None, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers["Authorization"], json.loads(body)))
        code, answer = self.server.answer
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    """GitHub, on loopback."""
    with _Server() as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def ask(
    server: _Server, tmp_path: Path, given: dict[str, str] | None = None, *, mode: int = 0o600
) -> subprocess.CompletedProcess[str]:
    """Ask for a configuration, to be written into the folder `given`."""
    token = tmp_path / "token"
    token.write_text("a-token\n")
    token.chmod(mode)
    (tmp_path / "given").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPTS / "jit_config.py"), CARD, str(tmp_path / "given/jit")],
        env={
            "PATH": os.environ["PATH"],
            "WHISPERBENCH_API": f"http://127.0.0.1:{server.server_port}",
            "WHISPERBENCH_RUNNERS": "orgs/owner",
            "WHISPERBENCH_RUNNER_GROUP": "4",
            "WHISPERBENCH_LABELS": "self-hosted linux gpu h100",
            "WHISPERBENCH_TOKEN_FILE": str(token),
        }
        | (given or {}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_a_runner_of_a_group(server: _Server, tmp_path: Path) -> None:
    """It is asked for in the organization's group, with the labels, and the file is private."""
    done = ask(server, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    ((path, token, body),) = server.asked
    assert path == "/orgs/owner/actions/runners/generate-jitconfig"
    assert token is not None
    assert token.split() == ["Bearer", "a-token"]
    assert body.pop("name").startswith(f"{CARD}-")
    assert body == {"runner_group_id": 4, "labels": ["self-hosted", "linux", "gpu", "h100"]}
    written = tmp_path / "given" / "jit"
    assert written.read_text() == "a-configuration"
    assert written.stat().st_mode & 0o777 == 0o600


def test_a_repository_without_groups(server: _Server, tmp_path: Path) -> None:
    """A personal account's repository has the group 1 alone."""
    given = {"WHISPERBENCH_RUNNERS": "repos/owner/project", "WHISPERBENCH_RUNNER_GROUP": "1"}
    assert ask(server, tmp_path, given).returncode == 0
    assert server.asked[0][0] == "/repos/owner/project/actions/runners/generate-jitconfig"


def test_a_link_of_a_job_is_not_followed(server: _Server, tmp_path: Path) -> None:
    """The folder is the job's user's, who could have left a link for root to write through."""
    (tmp_path / "given").mkdir()
    (tmp_path / "roots").write_text("root's")
    (tmp_path / "given" / "jit").symlink_to(tmp_path / "roots")
    assert ask(server, tmp_path).returncode == 0
    assert (tmp_path / "roots").read_text() == "root's"
    assert not (tmp_path / "given" / "jit").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to somebody else")
def test_the_file_is_the_runners(server: _Server, tmp_path: Path) -> None:
    """It belongs to whoever owns its folder: the user that the service has at that time."""
    (tmp_path / "given").mkdir()
    os.chown(tmp_path / "given", 4242, 4243)
    assert ask(server, tmp_path).returncode == 0
    found = (tmp_path / "given" / "jit").stat()
    assert (found.st_uid, found.st_gid) == (4242, 4243)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"WHISPERBENCH_RUNNERS": ""}, "must be orgs/ORG or repos/OWNER/NAME"),
        ({"WHISPERBENCH_RUNNERS": "orgs/a/../b"}, "must be orgs/ORG or repos/OWNER/NAME"),
        ({"WHISPERBENCH_RUNNER_GROUP": "1"}, "limited to one workflow"),
        ({"WHISPERBENCH_RUNNER_GROUP": "gpu"}, "limited to one workflow"),
        ({"WHISPERBENCH_TOKEN_FILE": "/nowhere"}, "/nowhere"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_for(
    given: dict[str, str], said: str, server: _Server, tmp_path: Path
) -> None:
    """It is one line, GitHub is not asked, and no file is written."""
    done = ask(server, tmp_path, given)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not server.asked
    assert not list((tmp_path / "given").iterdir())


def test_a_token_that_others_can_read(server: _Server, tmp_path: Path) -> None:
    """A job could read it as well, so it is not used."""
    done = ask(server, tmp_path, mode=0o644)
    assert "others can read it" in done.stderr
    assert not server.asked


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((403, {}), "GitHub answers 403 Forbidden"),
        ((201, {}), "holds no configuration"),
        ((201, ["x"]), "holds no configuration"),
    ],
    ids=str,
)
def test_an_answer_without_a_configuration(
    answer: tuple[int, Any], said: str, server: _Server, tmp_path: Path
) -> None:
    """It is one line, and no runner is started, for there is no file."""
    server.answer = answer
    done = ask(server, tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert "a-token" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "given" / "jit").exists()


def test_each_card_has_a_user_of_its_own() -> None:
    """No job can signal another card's runner or read its files; it shares the locks' group."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(UNIT.read_text(encoding="utf-8"))
    service = unit["Service"]
    assert service["DynamicUser"] == "yes"
    assert "User" not in service
    assert service["SupplementaryGroups"] == "whisperbench"
    assert service["RuntimeDirectoryMode"] == service["StateDirectoryMode"] == "0700"
    assert service["KillMode"] == "control-group"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_service(tmp_path: Path) -> None:
    """It has no line that systemd does not know."""
    shutil.copy(UNIT, tmp_path / UNIT.name)
    instance = tmp_path / UNIT.name.replace("@", f"@{CARD}")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(instance)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert UNIT.name.partition("@")[0] not in done.stdout + done.stderr
