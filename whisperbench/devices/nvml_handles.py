"""Which of NVML's cards, or which part of a divided one, a torch device is.

NVML is handed in by `devices.nvml`, the only module that imports it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from whisperbench.errors import DeviceError, one_line


def find_handle(nvml: Any, uuid: str) -> tuple[Any, Any]:
    """Find a torch device in NVML.

    Args:
        nvml: pynvml, initialised.
        uuid: what torch says, which has no prefix and may be the instance's or the card's where
            the GPU is divided.

    Returns:
        The handle whose memory and processes are the device's, and the card's own, which knows
        clocks, power and temperature. The two are one object unless MIG has divided the GPU.

    Raises:
        DeviceError: NVML does not show it, or cannot tell which part of a divided GPU it is.
    """
    plain = uuid.removeprefix("GPU-").removeprefix("MIG-")
    for prefix in ("MIG-", "GPU-"):
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(f"{prefix}{plain}".encode())
        except nvml.NVMLError as error:
            if error.value == nvml.NVML_ERROR_GPU_IS_LOST:
                raise
            continue
        if _is_part(nvml, handle):
            return handle, nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
        parts = mig_parts(nvml, handle)
        return (_only_part(parts), handle) if parts is not None else (handle, handle)
    raise DeviceError(
        f"NVML shows no GPU of the UUID that torch names ({plain}); in a container, pass the whole "
        "GPU in (--gpus), with the driver capability `utility`"
    )


def _is_part(nvml: Any, handle: Any) -> bool:
    """Whether a handle is of a part of a GPU that MIG has divided."""
    try:
        return bool(nvml.nvmlDeviceIsMigDeviceHandle(handle))
    except nvml.NVMLError:
        return False  # a driver without the notion of MIG


def mig_parts(nvml: Any, card: Any) -> dict[str, Any] | None:
    """Return the parts of a divided GPU by their UUIDs; None where it is whole."""
    try:
        current, _pending = nvml.nvmlDeviceGetMigMode(card)
    except nvml.NVMLError as error:
        if not means_unsupported(nvml, error):
            raise
        return None  # a card without the notion of MIG
    if not current:
        return None
    parts = {}
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(card)):
        try:
            part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, index)
        except nvml.NVMLError:
            continue  # fewer parts than there can be
        parts[str(nvml.nvmlDeviceGetUUID(part))] = part
    return parts


def _only_part(parts: Mapping[str, Any]) -> Any:
    """Tell which part of a divided GPU torch uses: CUDA shows a process one part at most."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    chosen = [part for name, part in parts.items() if visible and name.startswith(visible)]
    if len(chosen) == 1:
        return chosen[0]
    if len(parts) == 1:
        return next(iter(parts.values()))
    raise DeviceError(
        f"the GPU is divided by MIG into {len(parts)} parts, and NVML cannot tell which is meant; "
        f"set CUDA_VISIBLE_DEVICES to one of {', '.join(parts) or 'the parts (none is set up)'}"
    )


def means_unsupported(nvml: Any, error: Any) -> bool:
    """Whether NVML says that this card, driver or user does not get a reading."""
    return error.value in (
        nvml.NVML_ERROR_NOT_SUPPORTED,
        nvml.NVML_ERROR_NO_PERMISSION,
        nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    )


def device_error(what: str, error: Exception) -> DeviceError:
    """Return the error of a reading that NVML failed at, with what to do where the GPU is gone."""
    text = f"NVML fails to read {what}: {one_line(error)}"
    if type(error).__name__ == "NVMLError_GpuIsLost":
        text += "; the GPU has dropped off the bus: look at dmesg and reboot"
    return DeviceError(text)
