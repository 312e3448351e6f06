"""What the machines of runs must have in common before the runs count as of one."""

from __future__ import annotations

ONE_KIND = (
    *("device_key", "device", "device_kind", "compute_capability", "memory_mib"),
    *("cpu", "cpu_cores", "os", "driver", "power_limit_w", "compute_mode", "mig"),
)
"""Fields of a `Machine` that two of one kind have in common, which may be two hosts of a fleet."""

ONE_MACHINE = (*ONE_KIND, "gpu_uuid")
"""Fields of a `Machine` that are the same whenever one machine is measured."""

STACK = ("cuda", "python", "threads", "versions")
"""Fields of a `Machine` that tell what it runs: base and head may differ in them. `cuda` is the
version that torch was built with."""


def differing(one: object, other: object, fields: tuple[str, ...]) -> str | None:
    """Say in what two machines differ first.

    Args:
        one: a `Machine`.
        other: likewise.
        fields: of those above.

    Returns:
        A clause such as "driver was 580.1 and is 581.0"; None where all are equal. Of versions it
        names the package.
    """
    for field in fields:
        was, now = getattr(one, field), getattr(other, field)
        if field == "versions":
            for name in sorted(was.keys() | now.keys()):
                if was.get(name, "absent") != now.get(name, "absent"):
                    said = f"{was.get(name, 'absent')} and is {now.get(name, 'absent')}"
                    return f"the version of {name} was {said}"
        elif was != now:
            return f"{field.replace('_', ' ')} was {was} and is {now}"
    return None
