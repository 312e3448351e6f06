"""Does reading a run file fail closed? Damages sound files, and looks at what becomes of them.

    python scripts/fuzz_loader.py --files 200000 --seed 1

Each damaged file is refused in one plain line, or accepted as exactly what it says. The first that
is neither ends the script with its seed; --only SEED reads that one again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - the file lies in a folder of its own there


def main() -> int:
    """Damage and read files; 0 where each was read or refused as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="SEED", help="of one file, as a failure says")
    options = parser.parse_args()
    first = options.seed * 10**9
    seeds = range(first, first + options.files) if options.only is None else [options.only]

    from tests.mutations import Mutator, check, make_file

    mutator = Mutator(make_file())
    started_s = time.perf_counter()
    accepted = 0
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        path = Path(folder) / "run.json"
        for seed in seeds:
            path.write_bytes(mutator.mutate(seed))
            try:
                accepted += check(path)
            except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
                traceback.print_exc()
                print(f"seed {seed}: python scripts/fuzz_loader.py --only {seed}")
                return 1
    taken_s = time.perf_counter() - started_s
    print(
        f"{len(seeds)} files in {taken_s:.0f} s: {len(seeds) - accepted} refused in one line, "
        f"{accepted} accepted as what they say"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
