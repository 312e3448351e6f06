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

from whisperbench.errors import InputError  # noqa: E402
from whisperbench.record.baselines import merge  # noqa: E402 - of this checkout
from whisperbench.results.run_file import read_run  # noqa: E402

TORN = "torn"

WRITER = """
import sys
from pathlib import Path
from whisperbench.record import baselines as baseline
from whisperbench.asked import checkout
from whisperbench.cli import app
part, folder, *arguments = sys.argv[1:]
baseline.FOLDER, checkout.RESULTS = Path(folder) / "baselines", Path(folder) / "results"
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


def kill_group(writer: subprocess.Popen[bytes]) -> None:
    """Kill a writer with all that it started, which would hold up the next."""
    with suppress(ProcessLookupError):
        os.killpg(writer.pid, signal.SIGKILL)
    writer.communicate()


def check_promote(runs: list[Path], kills: int, chance: random.Random) -> Counter[str]:
    """Kill a writer so often; it must leave one of the two baselines, to the byte."""
    whole = {merge([run]) for run in runs}
    if len(whole) != 2:
        sys.exit("promote: name two runs that differ")
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(kills):
            writer = start("promote", folder, list(map(str, runs)))
            written(writer)
            time.sleep(chance.uniform(0, 0.05))
            kill_group(writer)
            (path,) = Path(folder, "baselines").glob("*/*.json")
            found["one of the two" if path.read_bytes() in whole else TORN] += 1
    return found


def check_record(arguments: list[str], kills: int, chance: random.Random) -> Counter[str]:
    """Kill a recorder so often; it must leave the old baseline or, once it is done, a new one."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        started_s = time.monotonic()
        first = start("record", folder, arguments)
        written(first)
        lasts_s = time.monotonic() - started_s
        kill_group(first)
        (path,) = Path(folder, "baselines").glob("*/*.json")
        while found.total() < kills:
            before = path.read_bytes()
            writer = start("record", folder, arguments)
            time.sleep(chance.uniform(0, lasts_s))
            if code := writer.poll():
                sys.exit(f"the recorder ended by itself, with {code}; run its command alone")
            alive = writer.poll() is None
            kill_group(writer)
            try:
                read_run(path)
            except InputError as error:
                print(error)
                found[TORN] += 1
            else:
                same = path.read_bytes() == before
                if alive:  # one that was done already has shown nothing
                    found["as it was" if same else "a new one, whole"] += 1
    return found


def main() -> None:
    """Run it, and exit with 1 if a baseline was torn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("part", choices=("promote", "record"))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="runs, or pytest's arguments")
    options = parser.parse_args()
    arguments: list[str] = options.arguments
    chance = random.Random(options.seed)
    if options.part == "promote":
        runs = [Path(path).resolve() for path in arguments]
        found = check_promote(runs, options.kills, chance)
    else:
        found = check_record(arguments, options.kills, chance)
    print(f"{options.part}, killed {options.kills} times: the baseline was")
    for what, count in found.most_common():
        print(f"  {count:3} times {what}")
    if found[TORN]:
        sys.exit("failed")


if __name__ == "__main__":
    main()
