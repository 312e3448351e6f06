"""Is the baseline whole whenever its writer is killed? Kills it at random moments.

    python scripts/check_kills.py promote RUN.json OTHER.json
    python scripts/check_kills.py record benchmarks/test_stages.py -k front_end --device cpu ...

`promote` promotes two runs of one machine in turns, as fast as it can, and is killed within 50 ms
of a write. `record` records two runs of the given pytest arguments, and is killed at any moment of
that. Both keep their baseline in a scratch folder, and after each kill it must be readable.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

WRITER = """
import sys
from pathlib import Path
from whisperbench import baseline, suite
from whisperbench.cli import app
part, folder, *arguments = sys.argv[1:]
baseline.FOLDER, suite.RESULTS = Path(folder) / "baselines", Path(folder) / "results"
def run(*command):
    app([*command], standalone_mode=False)
    print("written", flush=True)
if part == "record":
    run("record", "--runs", "2", "--force", *arguments)
while part == "promote":
    for path in arguments:
        run("baseline", "promote", path, "--force")
"""


def start(part: str, folder: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start a writer, with all that it starts in a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, part, folder, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def written(writer: subprocess.Popen[bytes]) -> None:
    """Wait until it has written a baseline."""
    assert writer.stdout is not None
    for line in writer.stdout:
        if line == b"written\n":
            return
    sys.exit(f"the writer ended with {writer.wait()} and wrote no baseline; run its command alone")


def check(part: str, arguments: list[str], kills: int, seed: int) -> bool:
    """Kill a writer so often; whether the baseline was whole each time."""
    from whisperbench.errors import InputError
    from whisperbench.result import read_run

    chance = random.Random(seed)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        started_s = time.monotonic()
        first = start(part, folder, arguments)
        written(first)
        lasts_s = time.monotonic() - started_s
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        (path,) = Path(folder, "baselines").glob("*/*.json")
        for _ in range(kills):
            before = path.read_bytes()
            writer = start(part, folder, arguments)
            if part == "promote":
                written(writer)
                time.sleep(chance.uniform(0, 0.05))
            else:
                time.sleep(chance.uniform(0, lasts_s))
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            same = path.read_bytes() == before
            try:
                read_run(path)
            except InputError as error:
                print(error)
                found["torn"] += 1
            else:
                found["as it was" if same else "a new one, whole"] += 1
            with suppress(ProcessLookupError):  # what a recorder leaves would hold up the next
                os.killpg(writer.pid, signal.SIGKILL)
            writer.communicate()
    print(f"{part}, killed {kills} times within {lasts_s:.1f} s: the baseline was")
    for what, count in found.most_common():
        print(f"  {count:3} times {what}")
    return not found["torn"]


def main() -> None:
    """Run it, and exit with 1 if a baseline was torn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("part", choices=("promote", "record"))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="runs, or pytest's arguments")
    options = parser.parse_args()
    arguments: list[str] = options.arguments
    if options.part == "promote":
        arguments = [str(Path(path).resolve()) for path in arguments]
    if not check(options.part, arguments, options.kills, options.seed):
        sys.exit("failed")


if __name__ == "__main__":
    main()
