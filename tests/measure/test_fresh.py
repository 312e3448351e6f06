"""Fresh processes: what they begin with, and what starting one leaves behind."""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests import workloads
from whisperbench.asked.checkout import ROOT
from whisperbench.measure.fresh import dismiss, make_ready, start_process


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


def test_processes_that_wait_are_used_first_and_others_ended() -> None:
    """What was made ready does the work, imports done; what nobody wants leaves no process."""
    before = set(multiprocessing.active_children())
    make_ready(2, forked=False)
    waiting = set(multiprocessing.active_children()) - before
    assert len(waiting) == 2
    process, connection = start_process(workloads.tell_start, forked=False)
    assert process in waiting
    _, parent, modules, _ = connection.recv()
    assert parent == os.getpid()
    assert "transformers.models.whisper.modeling_whisper" in modules
    assert "pytest" not in modules
    connection.recv()
    process.join()
    assert process.exitcode == 0
    dismiss()
    assert set(multiprocessing.active_children()) == before


def test_a_process_that_waited_runs_what_is_to_run_at_exit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It ends without taking its modules down, and nothing that was asked for is lost."""
    make_ready(1, forked=False)
    process, connection = start_process(workloads.end_with, tmp_path / "ended", forked=False)
    assert connection.recv() == "done"
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "ended").exists()
    assert "said" in capfd.readouterr().out


def test_one_that_died_waiting_is_not_used() -> None:
    """Where none that waits is alive, a process is started as ever."""
    make_ready(1, forked=False)
    (waiting,) = [each for each in multiprocessing.active_children() if each.exitcode is None][-1:]
    waiting.kill()
    waiting.join()
    process, connection = start_process(workloads.tell_start, forked=False)
    assert process is not waiting
    assert connection.recv()[0] == process.pid
    process.join()


INITIALISES_CUDA = """
import os

class cuda:
    importer = os.getpid()

    @classmethod
    def _is_in_bad_fork(cls):
        return os.getpid() != cls.importer

def tell(connection):
    connection.send(os.getppid())
"""

STARTS_TWO = """
import os, torch
from whisperbench.measure import fresh

fresh.PRELOAD = ("torch",)
for _ in range(2):
    process, connection = fresh.start_process(torch.tell)
    print(connection.recv() == os.getpid())
    process.join()
"""


def test_where_an_import_initialises_cuda_nothing_is_forked(tmp_path: Path) -> None:
    """A process forked after that could use no GPU: so it is spawned, by this one."""
    (tmp_path / "torch.py").write_text(INITIALISES_CUDA, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", STARTS_TWO],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\nTrue\n", done.stderr


def test_the_server_is_started_early() -> None:
    """A GPU's cells are forked from the same server, whenever it was started."""
    make_ready(1)
    _, parent, modules, _, cuda = tell_start()
    assert parent not in (os.getpid(), 0)
    assert "torch" in modules
    assert cuda is False
