"""The doctor: a scripted GPU for each finding, and the real CPU.

Over 300 lines, because it is one subject with one set of helpers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from tests.scripted import MIB, SCRIPTED_GPU, ScriptedDevice
from whisperbench.cli import app
from whisperbench.devices import usable
from whisperbench.devices.accelerator import Accelerator
from whisperbench.devices.cpu import CpuAccelerator
from whisperbench.devices.cuda import CudaAccelerator
from whisperbench.devices.device import Conditions, DeviceFacts, DeviceMemory
from whisperbench.devices.trials import NativeLibrary, Trials, int8_error, native_library
from whisperbench.doctor import checks, host_checks
from whisperbench.doctor.checks import Patient
from whisperbench.doctor.examine import CHECKS, Finding, as_line, findings, summary
from whisperbench.doctor.host_checks import judge_cpu_load
from whisperbench.errors import DeviceError
from whisperbench.measure.memory.probe import Pace
from whisperbench.measure.telemetry import SLOWDOWNS

FACTS = replace(
    SCRIPTED_GPU,
    uuid="GPU-90c3aaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    driver="580.1",
    cuda="13.0",
    power_limit_w=700.0,
    default_power_limit_w=700.0,
    compute_mode="default",
    persistence_mode=True,
    max_sm_clock_mhz=1980,
)
AT_FULL_SPEED = Conditions(reasons=frozenset(), sm_clock_mhz=1980)
OWN = os.getpid()
STRANGER = 2**22 + 1
"""A process id that Linux never gives."""

HOST_SUBJECTS = ("CPU load", "CPU governor", "host memory", "Actions runner")


def _slowed(*reasons: str, mhz: int = 1200) -> Conditions:
    return Conditions(reasons=frozenset(reasons), sm_clock_mhz=mhz)


class _Card:
    """A GPU on which a block that is held shows, with a context, in what NVML would say."""

    def __init__(self) -> None:
        self.facts: DeviceFacts | Exception = FACTS
        self.idle_mib = 5.0
        self.reserved_mib: float | None = 600.0
        self.grown_mib = 900.0
        """What NVML shows more while a block is held."""
        self.others: Mapping[int, int | None] = {}
        self.own: Mapping[int, int | None] = {OWN: 800 * MIB}
        """What is listed once this process is on the GPU."""
        self.conditions: Any = AT_FULL_SPEED
        self.nvml_fails = False
        self.energy: float | None = 12.5
        self.library = NativeLibrary(True, "libbitsandbytes_cuda130.so", "")
        self.int8_error: float | Exception = 0.007
        self.held = False

    def examine(self) -> dict[str, Finding]:
        """Examine it, and return the findings by subject."""
        device = ScriptedDevice(
            facts=self.facts,
            memory=self._memory,
            processes=lambda: {**self.others, **(self.own if self.held else {})},
            conditions=self.conditions,
            energy_j=self.energy,
        )
        trials = Trials(
            hold=self._hold,
            keep_busy=lambda _name: iter([None] * 3),
            native_library=lambda: self.library,
            int8_error=self._int8_error,
        )
        found = list(
            findings(Patient(accelerator=CudaAccelerator("cuda:0"), device=device, trials=trials))
        )
        assert device.looks["close"] == 1
        assert all("\n" not in finding.text for finding in found)
        return {finding.subject: finding for finding in found}

    def _memory(self) -> DeviceMemory:
        if self.nvml_fails:
            raise DeviceError("NVML does not answer: no driver; check that nvidia-smi runs")
        used_mib = self.idle_mib + (self.grown_mib if self.held else 0.0)
        return DeviceMemory(
            used_bytes=round(used_mib * MIB),
            total_bytes=100_000 * MIB,
            reserved_bytes=None if self.reserved_mib is None else round(self.reserved_mib * MIB),
        )

    @contextmanager
    def _hold(self, accelerator: Accelerator, size_bytes: int) -> Iterator[None]:
        assert (accelerator.torch_device, size_bytes) == ("cuda:0", 256 * MIB)
        self.held = True
        yield
        self.held = False

    def _int8_error(self, _accelerator: Accelerator) -> float:
        if isinstance(self.int8_error, Exception):
            raise self.int8_error
        return self.int8_error


@pytest.fixture(autouse=True)
def _calm_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the CPU's load in every test."""
    monkeypatch.setattr(host_checks, "CPU_SECONDS", 0.01)


def _without_host(found: Mapping[str, Finding]) -> dict[str, Finding]:
    """Leave out what depends on the machine that the tests run on."""
    return {name: finding for name, finding in found.items() if name not in HOST_SUBJECTS}


def test_a_sound_gpu_is_fine_all_over() -> None:
    """With nothing wrong, every check of a GPU is made, in order, and says fine."""
    found = _Card().examine()
    assert list(found) == [check.subject for check in CHECKS]
    rest = _without_host(found)
    assert {finding.state for finding in rest.values()} == {"fine"}
    assert rest["UUID mapping"].text == (
        "cuda:0 is GPU-90c3…, and NVML saw its 256 MiB block come (with 644 MiB of context)"
    )
    assert rest["clocks"].text == "1980 of 1980 MHz under load, nothing slows it down"
    assert rest["int8"].text.endswith(
        "libbitsandbytes_cuda130.so; an int8 product is right to 0.7 %"
    )


def _facts(**changes: Any) -> dict[str, Any]:
    return {"facts": replace(FACTS, **changes)}


@pytest.mark.parametrize(
    ("changes", "subject", "state", "words"),
    [
        ({"reserved_mib": None}, "NVML", "fine", "does not tell what it reserves"),
        (_facts(compute_mode="prohibited"), "compute mode", "unfit", "-c 0"),
        (_facts(compute_mode="exclusive process"), "compute mode", "fine", "exclusive"),
        ({"others": {STRANGER: 3 * MIB}}, "others on it", "unfit", f"{STRANGER} with 3 MiB: stop"),
        ({"others": {STRANGER: None}}, "others on it", "unfit", f"process {STRANGER}: stop"),
        ({"idle_mib": 9000.0}, "others on it", "unfit", "9000 MiB are taken by processes that"),
        ({"idle_mib": 900.0}, "others on it", "advice", "if a display is attached"),
        ({"idle_mib": 900.0, "reserved_mib": None}, "others on it", "fine", "nobody"),
        ({"grown_mib": 0.0}, "UUID mapping", "unfit", "watches another GPU"),
        ({"grown_mib": 9000.0}, "UUID mapping", "unfit", "somebody else came"),
        (_facts(mig=True), "UUID mapping", "fine", "a part of a GPU that MIG has divided"),
        ({"own": {OWN: 800 * MIB}}, "process figures", "fine", "visible: this process holds 800"),
        ({"own": {OWN: 3 * MIB}}, "process figures", "unfit", "holds 3 MiB while it holds 256"),
        ({"own": {OWN: None}}, "process figures", "advice", "hidden"),
        ({"own": {}}, "process figures", "advice", "hidden"),
        ({"own": {STRANGER: MIB}}, "process figures", "advice", f"namespace ({STRANGER})"),
        ({"conditions": Conditions()}, "clocks", "advice", "not readable"),
        ({"conditions": _slowed("power cap")}, "clocks", "fine", "1200 of 1980 MHz under load"),
        ({"conditions": _slowed("application clocks")}, "clocks", "advice", "-rac"),
        ({"conditions": _slowed("display clocks")}, "clocks", "advice", "a display"),
        ({"conditions": _slowed()}, "clocks", "advice", "-rgc"),
        ({"conditions": _slowed("idle", mhz=1900)}, "clocks", "fine", "nothing slows it"),
        *(
            ({"conditions": _slowed("power cap", reason)}, "clocks", "unfit", f"{reason}; let it")
            for reason in sorted(SLOWDOWNS)
        ),
        (_facts(persistence_mode=False), "persistence", "advice", "sudo nvidia-smi -pm 1"),
        (_facts(persistence_mode=None), "persistence", "fine", "does not tell"),
        (_facts(power_limit_w=350.0), "power limit", "advice", "-pl 700"),
        (_facts(power_limit_w=None), "power limit", "fine", "does not tell"),
        ({"energy": None}, "energy", "advice", "so results lack joules"),
        (_facts(compute_capability=(7, 0)), "int8", "advice", "leave int8 out of --precision"),
        (
            {"library": NativeLibrary(False, "libbitsandbytes_cpu.so", "")},
            *("int8", "unfit", "no CUDA library for torch's CUDA 13.0: it loaded libbitsandbytes_"),
        ),
        (
            {"library": NativeLibrary(False, "", "libcudart.so.13: cannot open")},
            *("int8", "unfit", "libcudart.so.13: cannot open; update it"),
        ),
        ({"int8_error": 0.9}, "int8", "unfit", "off by 90.0 %"),
        ({"int8_error": float("nan")}, "int8", "unfit", "off by nan %"),
        (
            {"int8_error": RuntimeError("CUDA error:\nno kernel image")},
            *("int8", "unfit", "the check failed: RuntimeError: CUDA error: no kernel image"),
        ),
    ],
)
def test_each_fault_of_a_gpu_has_its_finding(
    changes: dict[str, Any], subject: str, state: str, words: str
) -> None:
    """A fault shows in its own line, with what to do, and whether measuring has to wait."""
    card = _Card()
    for name, value in changes.items():
        setattr(card, name, value)
    found = card.examine()[subject]
    assert (found.state, words in found.text) == (state, True), found


def test_a_slowdown_between_two_readings_is_found() -> None:
    """A counter that grew under load is a slow-down, although no reading showed the reason."""
    card = _Card()
    spent = [replace(AT_FULL_SPEED, slowdown_ns={"power brake": ns}) for ns in (5, 5, 5, 9)]
    card.conditions = spent
    assert card.examine()["clocks"].state == "unfit"
    card.conditions = [replace(AT_FULL_SPEED, slowdown_ns={"power brake": 5})]
    assert card.examine()["clocks"].state == "fine"


def test_a_stranger_is_named_without_its_path() -> None:
    """A process that can be seen has its name beside its id, and nothing of where it lies."""
    card = _Card()
    parent = os.getppid()
    card.others = {parent: None}
    name = psutil.Process(parent).name()
    assert card.examine()["others on it"].text.startswith(f"process {parent} ({name}): ")


def test_a_slow_process_list_is_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process list of milliseconds is read rarely, and the line says how rarely."""
    pace = Pace.choose(8e-6, 4500e-6)
    monkeypatch.setattr(Pace, "measure", lambda _device, _pid: pace)
    found = _Card().examine()["poll cost"]
    assert found.state == "advice"
    assert "processes 4.50 ms: one poll every 1.00 ms, processes at every 45th" in found.text


def test_without_nvml_the_rest_is_still_said() -> None:
    """NVML's failure is one line; what needs it is named as not checked, what does not is made."""
    card = _Card()
    card.nvml_fails = True
    found = card.examine()
    assert list(found) == ["device", "NVML", *HOST_SUBJECTS, "int8", "not checked"]
    assert found["NVML"].text.startswith("NVML does not answer: no driver")
    assert found["not checked"].state == "unfit"
    assert found["not checked"].text.startswith("compute mode, others on it, UUID mapping, ")


def test_without_a_gpu_only_the_host_is_examined() -> None:
    """A GPU that torch does not see is one line with torch's reason."""
    card = _Card()
    card.facts = DeviceError("--device cuda: torch finds no usable NVIDIA GPU")
    found = card.examine()
    assert list(found) == ["device", *HOST_SUBJECTS, "not checked"]
    assert found["device"] == Finding(
        "device", "unfit", "--device cuda: torch finds no usable NVIDIA GPU"
    )


@pytest.mark.parametrize(
    ("percent", "on_cpu", "on_gpu"),
    [(3.0, "fine", "fine"), (20.0, "unfit", "advice"), (80.0, "unfit", "unfit")],
)
def test_a_run_on_the_cpu_needs_all_of_it(percent: float, on_cpu: str, on_gpu: str) -> None:
    """What others take of the CPU forbids a run on it sooner than one on a GPU."""
    assert judge_cpu_load(percent, 16, on_gpu=False)[0] == on_cpu
    assert judge_cpu_load(percent, 16, on_gpu=True)[0] == on_gpu


@pytest.mark.parametrize(
    ("text", "state"), [("performance\n", "fine"), ("powersave\n", "advice"), (None, "fine")]
)
def test_the_governor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, state: str
) -> None:
    """A CPU that saves power is advice; a machine that shows no governor has none to change."""
    path = tmp_path / "scaling_governor"
    if text is not None:
        path.write_text(text, encoding="ascii")
    monkeypatch.setattr(host_checks, "GOVERNOR", path)
    assert (
        host_checks.governor(Patient(accelerator=CpuAccelerator(), device=ScriptedDevice()))[0]
        == state
    )


@pytest.mark.parametrize(
    ("size_mib", "free_mib", "state", "end"),
    [
        (16384, 8192, "fine", "8192 of 16384 MiB free"),
        (16384, 1024, "unfit", "free some"),
        (2048, 2000, "unfit", "raise the container's limit, or move"),
    ],
)
def test_too_little_host_memory(
    monkeypatch: pytest.MonkeyPatch, size_mib: int, free_mib: int, state: str, end: str
) -> None:
    """Memory that a run could exceed is unfit; where it is never enough, freeing does not help."""
    monkeypatch.setattr(usable, "memory_bytes", lambda: size_mib * MIB)
    monkeypatch.setattr(usable, "free_bytes", lambda: free_mib * MIB)
    found, text = host_checks.host_memory(
        Patient(accelerator=CpuAccelerator(), device=ScriptedDevice())
    )
    assert (found, text.endswith(end)) == (state, True)


@pytest.mark.parametrize(
    ("busy", "allowed", "cores", "percent"),
    [
        (4.0, 16, 16, 25),  # all of the machine
        (1.0, 2, 2, 50),  # bound to two of its CPUs
        (60.0, 64, 2, 0),  # a quota: there is room for it
        (63.5, 64, 2, 75),
        (64.0, 64, 1.5, 100),
        (1.75, 2, 0.5, 50),
    ],
)
def test_what_others_take_of_a_container(
    busy: float, allowed: int, cores: float, percent: float
) -> None:
    """What others take counts as far as it leaves less than this process may use."""
    assert host_checks.taken_percent(busy, allowed, cores) == percent


def test_bitsandbytes_works_on_this_cpu() -> None:
    """The real library is named, and a real int8 product with outliers is right, but not exact."""
    assert native_library().file.startswith("libbitsandbytes_")
    assert 0.001 < int8_error(CpuAccelerator()) < checks.INT8_ERROR


def test_a_stand_in_for_the_library_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """bitsandbytes' own stand-in for a library that did not load is none, and says why."""
    from bitsandbytes import cextension

    stand_in = cextension.ErrorHandlerMockBNBNativeLibrary("libcudart.so.13: cannot open")
    monkeypatch.setattr(cextension, "lib", stand_in)
    assert native_library() == NativeLibrary(False, "", "libcudart.so.13: cannot open")


def test_the_real_cpu(caplog: pytest.LogCaptureFixture) -> None:
    """On a CPU the checks that apply are made for real; each is an aligned line, then a verdict."""
    done = CliRunner().invoke(app, ["doctor", "--device", "cpu"])
    *lines, last = done.stdout.splitlines()
    subjects = ["device", "poll cost", *HOST_SUBJECTS, "int8"]
    assert [line[8:25].rstrip() for line in lines] == subjects
    states = [line.split()[0] for line in lines]
    assert set(states) <= {"fine", "advice", "unfit"}
    assert [states[subjects.index(name)] for name in ("device", "poll cost", "int8")] == [
        *("fine", "fine", "fine")
    ]
    assert done.exit_code == (4 if "unfit" in states else 0)
    assert last.startswith("not fit: " if "unfit" in states else "fit to measure")
    assert caplog.records == []


@pytest.mark.parametrize(
    ("states", "exit_code", "last"),
    [
        (["fine", "fine"], 0, "fit to measure"),
        (["fine", "advice"], 0, "fit to measure; advice on 1 of 2"),
        (["unfit", "advice", "unfit"], 4, "not fit: 2 of 3"),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch, states: list[Any], exit_code: int, last: str
) -> None:
    """Advice lets a machine pass; a single unfit does not."""
    made = [Finding("subject", state, "text") for state in states]
    monkeypatch.setattr("whisperbench.doctor.examine.examine", lambda _asked: iter(made))
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == exit_code
    assert done.stdout.splitlines() == [*map(as_line, made), last]
    assert summary(made) == last


def test_help_is_quick_and_a_bad_name_is_bad_usage() -> None:
    """`doctor --help` imports no torch; a device that cannot be is one line and exit code 2."""
    script = (
        "import sys; from whisperbench.cli import app; app(['doctor', '--help'], "
        "standalone_mode=False); print('torch' in sys.modules)"
    )
    helped = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert helped.stdout.splitlines()[-1] == "False"
    refused = subprocess.run(
        [sys.executable, "-c", "from whisperbench.cli import main; main()", "doctor", "--device=x"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
