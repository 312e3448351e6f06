"""Fresh processes: what they begin with, and what starting one leaves behind."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from tests import workloads
from whisperbench.asked.checkout import ROOT
from whisperbench.measure.fresh import start_process


def tell_start() -> tuple[int, int, frozenset[str], str | None, bool]:
    """Start a fresh process and let it say what it has."""
    process, connection = start_process(workloads.tell_start)
    pid, parent, modules, main = connection.recv()
    cuda: bool = connection.recv()
    process.join()
    assert process.pid == pid
    assert process.exitcode == 0
    return pid, parent, modules, main, cuda


def test_a_fresh_process_has_the_imports_and_nothing_else() -> None:
    """It begins with torch and transformers, without bitsandbytes and pytest, and off the GPU."""
    pid, parent, modules, main, cuda = tell_start()
    assert {"torch", "transformers.models.whisper.modeling_whisper"} <= modules
    for name in ("bitsandbytes", "pytest", "_pytest", "conftest"):
        assert name not in modules
    assert cuda is False
    assert main is None or "pytest" not in main
    assert parent != os.getpid()
    # Forked from the same server, where the imports were made.
    again = tell_start()
    assert again[1] == parent
    assert again[0] != pid


def test_its_target_imports_none_of_it() -> None:
    """What it has imported comes from where it was forked, and not from what it is to run."""
    script = "import sys, tests.workloads\nprint({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_the_main_module_is_back_afterwards() -> None:
    """The main module is only out of the way while a process starts, even one that fails to."""
    main = sys.modules["__main__"]
    tell_start()
    assert sys.modules["__main__"] is main
    with pytest.raises((AttributeError, TypeError), match=r"lambda|pickle"):
        start_process(lambda _connection: None)
    assert sys.modules["__main__"] is main


def test_it_can_use_the_limit_of_this_host() -> None:
    """Nothing of what the tests here limit in their processes is left in this one."""
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
