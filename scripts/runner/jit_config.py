#!/usr/bin/env python3
"""Asks GitHub for the configuration of one runner of Actions, which serves one job.

Usage: jit_config.py CARD FILE, as root, with the card's UUID and the file to write. The file's
reader is whoever owns its folder. Of the environment:

    WHISPERBENCH_RUNNERS       orgs/ORG, or repos/OWNER/NAME where there are no groups
    WHISPERBENCH_RUNNER_GROUP  number of the group that is limited to one workflow; 1, the default
                               one, serves a repository alone
    WHISPERBENCH_LABELS        labels, with spaces; self-hosted linux gpu by default
    WHISPERBENCH_TOKEN_FILE    holds a token that may administer the runners, and that root alone
                               can read; /etc/whisperbench/token by default
    WHISPERBENCH_API           https://api.github.com by default

It needs no package, and exits with 1 and one line where GitHub gives no configuration.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_S = 30


def ask(card: str) -> str:
    """Return the configuration of a runner for a card.

    Raises:
        ValueError: a variable is not as it must be, or the answer holds no configuration.
        OSError: the token cannot be read, or GitHub does not answer or refuses.
    """
    where = os.environ.get("WHISPERBENCH_RUNNERS", "")
    if not re.fullmatch(r"orgs/[\w.-]+|repos/[\w.-]+/[\w.-]+", where):
        raise ValueError("WHISPERBENCH_RUNNERS must be orgs/ORG or repos/OWNER/NAME")
    group = os.environ.get("WHISPERBENCH_RUNNER_GROUP", "1")
    if not group.isdecimal() or (where.startswith("orgs/") and group == "1"):
        raise ValueError(
            "WHISPERBENCH_RUNNER_GROUP must be the number of a group that is limited to one "
            "workflow, not 1, the organization's default"
        )
    token = Path(os.environ.get("WHISPERBENCH_TOKEN_FILE", "/etc/whisperbench/token"))
    if token.stat().st_mode & 0o077:
        raise ValueError(f"{token}: others can read it: chmod 600 {token}")
    wanted = {
        "name": f"{card}-{time.time_ns() // 10**6}",
        "runner_group_id": int(group),
        "labels": os.environ.get("WHISPERBENCH_LABELS", "self-hosted linux gpu").split(),
    }
    api = os.environ.get("WHISPERBENCH_API", "https://api.github.com").rstrip("/")
    request = urllib.request.Request(  # noqa: S310 - root names the address
        f"{api}/{where}/actions/runners/generate-jitconfig",
        data=json.dumps(wanted).encode(),
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token.read_text(encoding='ascii').strip()}",
            "X-GitHub-Api-Version": "2022-11-28",
        },
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        found = json.load(answer)
    configuration = found.get("encoded_jit_config") if isinstance(found, dict) else None
    if not isinstance(configuration, str) or not configuration:
        raise ValueError("GitHub's answer holds no configuration")
    return configuration


def write(path: Path, text: str) -> None:
    """Write a file that the owner of its folder alone can read, and never through a link."""
    folder = path.parent.stat()
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "w", encoding="ascii") as opened:
        os.fchown(file, folder.st_uid, folder.st_gid)
        opened.write(text)


def main(arguments: list[str]) -> int:
    """Do what the first lines say; return the exit code."""
    try:
        card, path = arguments
        write(Path(path), ask(card))
    except urllib.error.HTTPError as error:
        problem = f"GitHub answers {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        problem = str(error)
    else:
        return 0
    print("jit_config:", " ".join(problem.split()), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
