"""How a fresh process ended that said nothing."""

from __future__ import annotations

import signal

from whisperbench.devices import usable


def how_it_ended(exit_code: int | None, kills_before: int | None) -> str:
    """Say how a process ended that said nothing.

    Args:
        exit_code: as multiprocessing has it: negative of a signal.
        kills_before: processes that the system had killed for want of memory before this one was
            started; None where it does not count them.
    """
    if exit_code == 255:  # what multiprocessing says where the server that forks is gone
        return "the cell's process, or the server that it was forked from, was killed"
    if exit_code is None or exit_code >= 0:
        return f"the cell's process ended with exit code {exit_code} and without a word"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:  # a real-time signal, most of which have no name
        name = f"signal {-exit_code}"
    if exit_code != -signal.SIGKILL:
        return f"the cell's process was ended by {name}"
    kills = usable.out_of_memory_kills()
    if kills is None or kills_before is None:
        return (
            f"the cell's process was killed from outside by {name}; this system does not tell "
            "whether for want of memory"
        )
    if kills > kills_before:
        return (
            f"the cell's process was killed by the system: {usable.memory_holder()} is out of "
            "memory; free some, or take a smaller model"
        )
    return f"the cell's process was killed from outside by {name}; the host had memory left"
