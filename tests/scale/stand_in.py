"""In place of pytest's work in a process that `whisperbench run` starts: `-p tests.scale.stand_in`.

STAND_IN says what it does; it writes what it was given into a file beside the shard's.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.judge.sharded import make_shard


def after(option: str) -> str:
    """Return what the command line has behind an option."""
    return sys.argv[sys.argv.index(option) + 1]


def act() -> None:
    """Do what STAND_IN says, and end this process."""
    number, of = map(int, after("--shard").split("/"))
    result = Path(after("--result"))
    told = {
        "cpus": sorted(os.sched_getaffinity(0)),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "arguments": sys.argv[1:],
        "pid": os.getpid(),
    }
    result.with_suffix(".told").write_text(json.dumps(told), encoding="utf-8")
    doing = os.environ["STAND_IN"].split(",")[number - 1]
    if doing == "sleep":
        time.sleep(60)
    if doing == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if doing == "refuse":
        print("ERROR: the clip cannot be read", flush=True)  # noqa: T201 - as pytest does
        os._exit(4)
    broke = {"outcome": "failed", "reason": "it broke"}
    outcome: dict[str, Any] = broke if doing == "fail" else {}
    result.write_bytes(make_shard(number, of=of, **outcome).data)
    os._exit(1 if outcome else 0)


act()
