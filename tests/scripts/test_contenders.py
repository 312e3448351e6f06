"""The script of docs/contenders.md: where tables go, and what it says of rows that do not run."""

from __future__ import annotations

from statistics import median

import pytest

from scripts.contenders import BEGIN, END, environment, replaced, runnable, written
from tests.report.cases import CASES
from tests.report.test_durations import a_run
from tests.runs import make_run
from whisperbench.asked.checkout import ROOT
from whisperbench.asked.precisions import PRECISIONS
from whisperbench.report.contenders_text import as_markdown, contenders_of
from whisperbench.results.run_file import read_run

CPU_MODELS = ("nano", "tiny.en", "base")


def test_tables_stand_between_the_marks() -> None:
    """What stood there before is replaced, and nothing else; without both marks it is refused."""
    document = f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n"
    assert replaced(document, "new") == f"Before.\n{BEGIN}\n\nnew\n\n{END}\nAfter.\n"
    assert replaced(replaced(document, "x"), "new") == replaced(document, "new")
    with pytest.raises(SystemExit, match="lacks"):
        replaced("Before.\n", "new")


def test_the_document_has_the_marks() -> None:
    """docs/contenders.md takes the tables."""
    text = (ROOT / "docs" / "contenders.md").read_text(encoding="utf-8")
    assert "| precision |" in replaced(text, "| precision |")


@pytest.mark.parametrize(
    "files",
    ["h100-contenders-*", "h200-contenders-*", *map("cpu-contenders-{}*".format, CPU_MODELS)],
)
def test_the_document_has_what_the_recordings_say(files: str) -> None:
    """Its tables are what `whisperbench contenders` prints of the committed files."""
    paths = sorted((ROOT / "docs" / "recordings").glob(f"{files}.json"))
    assert paths
    tables = as_markdown(contenders_of([(path.name, read_run(path)) for path in paths]))
    assert tables.strip() in (ROOT / "docs" / "contenders.md").read_text(encoding="utf-8")


DID = {
    "encoder_gpu_time_ms": "{:.3g}",
    "encoder_kernels": "{:.0f}",
    "encoder_stream_syncs": "{:.0f}",
    "decode_gpu_time_ms": "{:.3g}",
    "decode_kernels": "{:.0f}",
    "decode_stream_syncs": "{:.0f}",
    "decode_graph_launches": "{:.0f}",
    "energy_j_per_audio_s": "{:.3g}",
}
"""Columns of the table of what the GPU did."""


def test_the_document_has_what_the_gpu_did() -> None:
    """Its table of kernels, waits, GPU time and energy is of the H200's files, by their medians."""
    written = (ROOT / "docs" / "contenders.md").read_text(encoding="utf-8")
    found: dict[str, dict[str, float]] = {}
    for path in (ROOT / "docs" / "recordings").glob("h200-contenders-*.json"):
        for row in read_run(path).measurements:
            figures = found.setdefault(row.cell.precision, {})
            figures |= {each.name: median(each.figures) for each in row.metrics}
    assert len(found) == 9
    for precision, figures in found.items():
        if "decode_kernels" in figures:
            figures.setdefault("decode_graph_launches", 0.0)  # there is none where none was seen
        cells = [
            form.format(figures[name]) if name in figures else "" for name, form in DID.items()
        ]
        assert f"| {precision} | {' | '.join(cells)} |" in written


def test_what_is_written_names_what_is_missing() -> None:
    """A table of contenders and one of durations, rows that failed, and rows that do not run."""
    case = CASES["compiled fp16 is the quickest"]()
    run = make_run(*case.measurements, *a_run().measurements)
    text = written([("run", run, "failed: test_memory: no kernel")], {"fp8": "needs a GPU"})
    assert "| fp16-compiled | 210 ms |" in text
    assert "Not measured of owner/whisper: failed: test_memory: no kernel." in text
    assert "| 27.0 s | int8 | 6.00 s |" in text
    assert text.endswith("- fp8: needs a GPU.")


def test_every_row_runs_or_has_a_reason() -> None:
    """The rows come from the registry: none is forgotten."""
    rows, reasons = runnable("cpu")
    names = {row.name for row in PRECISIONS.values() if not row.as_saved}
    assert {row.name for row in rows} | reasons.keys() == names
    assert {"fp32", "int8", "nf4"} <= {row.name for row in rows}
    assert all(reasons.values())


def test_torchao_is_found_where_it_lies() -> None:
    """The folder of the variable stands on the path of the runs."""
    path = environment({"WHISPERBENCH_TORCHAO": "/some/where", "PYTHONPATH": "/mine"})["PYTHONPATH"]
    assert path.split(":") == [str(ROOT), "/some/where", "/mine"]
    assert environment({})["PYTHONPATH"] == str(ROOT)
