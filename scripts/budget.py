"""Run a command; print how long it took and how much memory its processes held at once.

    python scripts/budget.py pytest benchmarks/

Memory is the largest sum of the processes' proportional set sizes (PSS), where what they share
counts once, sampled four times a second. Exits as the command does.
"""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

INTERVAL_S = 0.25


def held_bytes(root: psutil.Process) -> int:
    """Sum the PSS of a process and all its descendants; those that end meanwhile count nothing."""
    total = 0
    try:
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def main(command: list[str]) -> int:
    """Run it."""
    started = time.perf_counter()
    running = subprocess.Popen(command)
    root, peak = psutil.Process(running.pid), 0
    while running.poll() is None:
        peak = max(peak, held_bytes(root))
        time.sleep(INTERVAL_S)
    wall_s = time.perf_counter() - started
    print(f"budget: {wall_s:.2f} s, peak {peak / 2**20:.0f} MiB: {' '.join(command)}")
    return running.returncode


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
