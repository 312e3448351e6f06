"""Devices, as far as a machine without a GPU can show; the real one is checked on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from whisperbench.asked.clips import find_clip
from whisperbench.asked.models import ModelSpec
from whisperbench.devices.choosing import open_device, resolve
from whisperbench.devices.host import HostDevice
from whisperbench.devices.nvml import NvmlDevice
from whisperbench.errors import DeviceError, InputError
from whisperbench.paths import expanded
from whisperbench.results import environment
from whisperbench.results.environment import (
    CACHE_VARIABLE,
    STACK,
    cache_folder,
    device_key,
    operating_system,
    versions,
)

NO_GPU = not torch.cuda.is_available()


def test_the_host_knows_itself() -> None:
    """The CPU's facts name a model and memory, and nothing of a GPU."""
    facts = open_device("cpu").facts()
    assert isinstance(open_device("cpu"), HostDevice)
    assert (facts.kind, facts.torch_name, facts.uuid) == ("cpu", "cpu", None)
    assert facts.name
    assert facts.memory_mib > 256


@pytest.mark.parametrize("hidden", ["", "-1", " "])
def test_hidden_gpus_are_not_chosen(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    """With CUDA_VISIBLE_DEVICES empty or -1, auto is the CPU, whatever NVML shows."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert resolve("auto") == "cpu"


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_no_driver_means_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where NVML finds no driver, auto is the CPU, without an error."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert NvmlDevice.any_visible() is False
    assert resolve("auto") == "cpu"


def test_a_gpu_that_nvml_does_not_show_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the driver shows a card and NVML does not, auto is an error, and not the CPU."""
    monkeypatch.setattr(NvmlDevice, "any_visible", staticmethod(lambda: False))
    monkeypatch.setattr("whisperbench.devices.nvml.NODES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert resolve("auto") == "cpu"
    (tmp_path / "nvidia0").touch()
    with pytest.raises(DeviceError, match="--device cpu"):
        resolve("auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert resolve("auto") == "cpu"


def test_a_named_device_is_taken_as_it_is() -> None:
    """What is asked for is not replaced by something else that is there."""
    assert resolve("cuda:3") == "cuda:3"
    assert resolve("cpu") == "cpu"


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_an_absent_gpu_is_an_error_with_the_remedy() -> None:
    """CUDA asked for and absent says why, and how to go on without it."""
    with pytest.raises(DeviceError, match="--device cpu") as caught:
        open_device("cuda").facts()
    assert "\n" not in str(caught.value)


def test_device_keys() -> None:
    """A key is a slug of name, capability and memory in GiB, or of a CPU and its cores."""
    h200 = {"capability": (9, 0), "cores": 16}
    assert device_key("NVIDIA H200", memory_mib=143771, **h200) == "nvidia-h200-sm90-140gib"  # type: ignore[arg-type]
    # A few MiB more or less, which drivers keep for themselves, are the same card.
    assert device_key("NVIDIA H200", memory_mib=143500, **h200) == "nvidia-h200-sm90-140gib"  # type: ignore[arg-type]
    intel = device_key(
        "Intel(R) Xeon(R) E5-2690 v4", capability=None, memory_mib=1, cores=8, on_host=True
    )
    assert intel == "cpu-intel-xeon-e5-2690-v4-8c"


def test_the_stack_is_recorded() -> None:
    """The versions of what is under test are there, and the system has no host name in it."""
    extra = {"torchao"}  # which these tests have in a folder of its own
    assert set(versions()) - extra == {*STACK, "whisperbench"} - extra
    assert len(operating_system().split()) == 2


@pytest.mark.parametrize("without_home", ["raises", "stays"])
def test_no_home_for_the_cache(monkeypatch: pytest.MonkeyPatch, without_home: str) -> None:
    """Without a home folder one line says what to set, and no folder called ~ is made."""

    def user_cache_path(name: str) -> Path:
        # As platformdirs does from 4.5 on, and as it did before.
        if without_home == "raises":
            raise RuntimeError("could not determine the home directory")
        return Path("~") / ".cache" / name

    monkeypatch.setattr(environment, "user_cache_path", user_cache_path)
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    with pytest.raises(InputError, match="set HOME, or WHISPERBENCH_CACHE to a folder"):
        cache_folder()
    monkeypatch.setenv(CACHE_VARIABLE, "~nobody-of-this-name/cache")
    assert cache_folder() == Path("~nobody-of-this-name/cache")


@pytest.mark.parametrize("text", ["~nobody-of-this-name", "~nobody-of-this-name/a", "~\udcff"])
def test_a_home_of_nobody(text: str) -> None:
    """A ~ with no user's name is a path like others, and is looked for as such."""
    assert expanded(text) == Path(text)
    assert expanded("~/a") == Path.home() / "a"
    with pytest.raises(InputError, match="no such folder"):
        ModelSpec.parse(text)
    with pytest.raises(InputError, match="no such file"):
        find_clip(text, {})
