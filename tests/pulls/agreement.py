"""Whether who judges the files of `whisperbench ab` again comes to what it has said itself."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tests.ab.bench import Ended
from tests.pulls.artifacts import BASE, HEAD
from whisperbench.asked.suite import read_suite
from whisperbench.pulls.artifact import read_artifact
from whisperbench.pulls.rejudging import Expected, rejudged
from whisperbench.results.comparison_file import (
    COMPARISON_FILE,
    decode_compared,
    encode_compared,
)


def require_agreement(ended: Ended, *arguments: str) -> None:
    """Require that figures, faults and the exit code follow from the files as they did live.

    Args:
        ended: a comparison.
        *arguments: that it was asked for.
    """
    files = dict(read_artifact(ended.folder))
    compared = decode_compared(files[COMPARISON_FILE])
    assert (compared.base, compared.head, compared.exit_code) == (None, None, ended.code)
    # Interpreters are no commits; so that it is judged, two are named here.
    named = msgspec.structs.replace(compared, base=BASE, head=HEAD)
    files[COMPARISON_FILE] = encode_compared(named)
    expected = Expected(
        base=BASE,
        head=HEAD,
        arguments=arguments[arguments.index("--") + 1 :] if "--" in arguments else (),
        fast="--fast" in arguments,
        device="cpu",
    )
    found = rejudged(files, expected, read_suite())
    live = ended.verdicts()
    again: list[Any] = [
        {"benchmark": each.benchmark, "cell": msgspec.to_builtins(each.cell)}
        | {"change": each.verdict.change}
        | msgspec.to_builtins(each.verdict)
        for each in found.judged
    ]
    assert json.loads(json.dumps(again)) == live["verdicts"]
    assert found.exit_code == live["exit_code"] == ended.code
    assert found.unmeasured == live["unmeasured"]
    assert found.circumstances == live["circumstances"]
