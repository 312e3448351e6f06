"""The files of a run: where they are to be, whether they can be written, and their writing."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from whisperbench.asked.checkout import RESULTS
from whisperbench.errors import InputError, WhisperbenchError, one_line, printable
from whisperbench.plugin.options import path_from, usage_errors, value_of
from whisperbench.plugin.recording import Recorder
from whisperbench.plugin.written import encodable
from whisperbench.results.records import Cell
from whisperbench.results.run_file import (
    clips_beside,
    require_own_name,
    require_writable,
    write_whole,
)
from whisperbench.results.schema import decode_run, why_not

if TYPE_CHECKING:
    from whisperbench.plugin.session import Prepared, Session


def writable_result(config: pytest.Config, prepared: Prepared) -> Path:
    """Return where the run's file is to be; find out before measuring that it cannot be written.

    Raises:
        pytest.UsageError: it, or the file of what was heard beside it, cannot be written there; or
            no file can hold what would be measured.
    """
    with usage_errors():
        result = _result_path(config, prepared.device_key)
        clips = clips_beside(result)
        require_own_name(result)
        require_writable(result)
        require_writable(clips)
        if clips.exists() and not is_of_ours(clips):
            raise InputError(
                f"{clips}: is where what was heard would be written, and is of something else: "
                "move it away, or name another --result"
            )
        if written := config.getoption("--benchmark-json", None):
            require_writable(path_from(config, str(written)))
        _require_recordable(prepared)
    return result


class _ClipLine(msgspec.Struct):
    """What our lines of a clip-by-clip file have, and those of other tools have not."""

    pred_text: str
    model: str
    precision: str
    attention: str


def is_of_ours(clips: Path) -> bool:
    """Whether a file says clip by clip what an earlier run has heard, and so may be replaced."""
    try:
        with clips.open("rb") as lines:
            msgspec.json.decode(next(lines, b""), type=_ClipLine)
    except (OSError, ValueError, RecursionError):
        return False
    return True


def _require_recordable(prepared: Prepared) -> None:
    """Refuse a cell that no result file can hold, before it is measured."""
    cell_of = Recorder(None, prepared, "", lambda _: None).cell
    for key in prepared.plan.checkpoints.values():
        for audio in (*prepared.audio.values(), prepared.data):
            if audio is None or key.model.name not in prepared.checkpoints:
                continue
            cell = msgspec.to_builtins(cell_of(key, audio, batch_size=1, tokens=None))
            try:
                msgspec.convert(cell, Cell)
            except ValueError as error:
                raise InputError(
                    f"{key.id} and {audio.name}: no result can hold this: {why_not(error)}"
                ) from error


def _result_path(config: pytest.Config, key: str) -> Path:
    chosen = value_of(config, "result")
    if chosen is not None:
        return path_from(config, chosen)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return RESULTS / f"{stamp}-{key}.json"


def write_result(config: pytest.Config, session: Session, result: Path) -> bool:
    """Write the run's file, complete with what failed and what did not run.

    What cannot be written as it is never takes the rest with it: it is left out, or stands there as
    text, and the session's outcome says so.

    Returns:
        Whether all of it was written as it is.
    """
    shown = printable(os.path.relpath(result))
    faults = []
    try:
        content = _content(config)
    except Exception as error:  # noqa: BLE001 - of whichever plugin
        faults.append(
            f"{shown}: what other plugins add is left out, for one of them failed: "
            f"{type(error).__name__}: {one_line(error)}"
        )
        content = _content(config, without=_strangers(config))
    encoded = msgspec.json.encode(encodable(content), enc_hook=str)
    data = msgspec.json.format(encoded, indent=1) + b"\n"
    try:
        session.run = decode_run(data, shown)
    except WhisperbenchError as error:
        faults.append(str(error))
    try:
        write_whole(result, data)
        session.outcome.append(f"result: {shown}")
        heard = clips_beside(result)
        heard.unlink(missing_ok=True)
        if lines := [line for lines in session.heard.values() for line in lines]:
            write_whole(heard, b"\n".join([*lines, b""]))
            session.outcome.append(f"clip by clip: {printable(os.path.relpath(heard))}")
    except (WhisperbenchError, OSError) as error:
        faults.append(str(error))
    session.outcome += [f"ERROR: {printable(fault)}" for fault in faults]
    return not faults


def _content(config: pytest.Config, without: Sequence[object] = ()) -> dict[str, Any]:
    """Build the file by the hooks that pytest-benchmark calls for its own, so that all are alike.

    Args:
        config: pytest's.
        without: plugins that are not asked.
    """

    def hook(name: str) -> Callable[..., Any]:
        return config.pluginmanager.subset_hook_caller(f"pytest_benchmark_{name}", without)

    plugin: Any = config.pluginmanager.get_plugin("pytest-benchmark")
    # One that was interrupted before its first round is there without a sample, and breaks it.
    benchmarks = [row for row in plugin.benchmarks if row.stats.data]
    machine_info = hook("generate_machine_info")(config=config)
    hook("update_machine_info")(config=config, machine_info=machine_info)
    commit_info = hook("generate_commit_info")(config=config)
    hook("update_commit_info")(config=config, commit_info=commit_info)
    content: dict[str, Any] = hook("generate_json")(
        config=config,
        benchmarks=benchmarks,
        include_data=True,
        machine_info=machine_info,
        commit_info=commit_info,
    )
    hook("update_json")(config=config, benchmarks=benchmarks, output_json=content)
    return content


def _strangers(config: pytest.Config) -> list[object]:
    """Return the plugins that are neither ours nor pytest-benchmark's."""
    ours = (__name__.partition(".")[0], "fixtures", "pytest_benchmark")
    return [
        plugin
        for plugin in config.pluginmanager.get_plugins()
        if str(getattr(plugin, "__name__", "")).partition(".")[0] not in ours
    ]
