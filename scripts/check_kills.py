"""Is the baseline whole whenever its writer is killed? Kills it at random moments.

    python scripts/check_kills.py BASELINE.json OTHER.json --kills 50

The two files are runs or baselines of one machine, such as two result files. A process promotes one
and the other in turns, as fast as it can, in a scratch folder; it is killed; the baseline there
must be one of the two, to the byte.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

WRITER = """
import sys
from pathlib import Path
from whisperbench import baseline
from whisperbench.cli import app
baseline.FOLDER = Path(sys.argv[1])
while True:
    for path in sys.argv[2:]:
        app(["baseline", "promote", path, "--force"], standalone_mode=False)
        print("written", flush=True)
"""


def check(runs: list[Path], kills: int, seed: int) -> bool:
    """Kill a writer so often; whether the baseline was whole each time."""
    from whisperbench import baseline

    chance = random.Random(seed)
    whole = {baseline.merge([path]) for path in runs}
    torn = 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(kills):
            writer = subprocess.Popen(
                [sys.executable, "-c", WRITER, folder, *map(str, runs)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
            )
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(chance.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
            (kept,) = Path(folder).glob("*/*.json")
            torn += kept.read_bytes() not in whole
    print(f"killed {kills} times: {torn} baselines torn")
    return not torn


def main() -> None:
    """Run it, and exit with 1 if a baseline was torn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs=2, type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    runs = [path.resolve() for path in options.runs]
    if not check(runs, options.kills, options.seed):
        sys.exit("failed")


if __name__ == "__main__":
    main()
