"""What the default run leaves out, and `--all` measures: files and precisions of a profile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from whisperbench.devices.choosing import key_of, open_device
from whisperbench.errors import DeviceError
from whisperbench.plugin.collecting import checkpoint_of
from whisperbench.plugin.options import OWN, path_from, usage_errors, value_of
from whisperbench.plugin.session import Session, is_benchmark, session_of
from whisperbench.record import baselines
from whisperbench.results.run_file import read_run


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is measured on request, once -k and -m have taken theirs away.

    It stays where its file is named, where nothing else is left, and where the baseline has it: a
    figure that nobody measures is missing, and no pass.
    """
    session = session_of(config)
    if session is None or config.getoption("--all"):
        return
    candidates = [item for item in items if _is_extra(item, session)]
    if not candidates or len(candidates) == len(items):
        return
    named = {
        (config.invocation_params.dir / str(arg).partition("::")[0]).resolve()
        for arg in config.args
    }
    held = _measured_by_baseline(config, session)
    left_out = [
        item for item in candidates if item.path.resolve() not in named and item.nodeid not in held
    ]
    if not left_out:
        return
    for item in left_out:
        session.fates.pop(item.nodeid, None)  # nobody has asked for it
    session.left_out = tuple(dict.fromkeys(_asked_by(item, session) for item in left_out))
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_extra(item: pytest.Item, session: Session) -> bool:
    plan = session.plan
    return is_benchmark(item) and (
        item.path.name in plan.profile.on_request or checkpoint_of(item) in plan.on_request
    )


def _asked_by(item: pytest.Item, session: Session) -> str:
    """Name what an item is left out with: its file, or its checkpoint."""
    if item.path.name in session.plan.profile.on_request:
        return f"benchmarks/{item.path.name}"
    return checkpoint_of(item)


def _measured_by_baseline(config: pytest.Config, session: Session) -> set[str]:
    """Return the ids of the benchmarks that the baseline has; none where there is none.

    Of the device's own: what CPUs of an instruction set share has counts alone.
    """
    asked = value_of(config, "baseline")
    if asked is None or config.option.collectonly:
        return set()
    with usage_errors():
        if asked != OWN:
            path = path_from(config, asked)
        else:
            try:
                path = baselines.path_of(key_of(open_device(session.plan.device).facts()))
            except DeviceError:  # which is said where the run is prepared
                return set()
            if not path.exists():
                return set()
        manifest = read_run(path).info.manifest
        return {entry.benchmark for entry in manifest if not entry.deselected}


def left_out(session: Session) -> Iterator[str]:
    """Yield a remark on what the default left out, and how it is had, where it left anything out.

    It goes into the file, so that whoever shows the run later says it too.
    """
    if session.left_out:
        names = ", ".join(session.left_out)
        yield f"Not in the default run: {names}; --all measures that as well."
