"""Golden files: what a report is to say, whole, in tests/report/golden/.

`WHISPERBENCH_REGENERATE=1 pytest tests/report` writes them anew; read them before committing them.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"

FLAG = "WHISPERBENCH_REGENERATE"


def require_golden(name: str, text: str) -> None:
    """Hold a text to a golden file, or write that file anew where the flag is set."""
    path = FOLDER / name
    if os.environ.get(FLAG):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")
    assert f"{text}\n" == path.read_text(encoding="utf-8")
