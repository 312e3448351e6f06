"""Pictures of what a measuring job has left, for people to look at: no verdict depends on them."""

from __future__ import annotations

from pathlib import Path

from whisperbench.asked.suite import read_suite
from whisperbench.errors import InputError, one_line
from whisperbench.judge.left import FILES, left_in
from whisperbench.pulls.artifact import read_artifact
from whisperbench.pulls.surroundings import NEEDS, Surroundings, unmet_needs
from whisperbench.report.charts.all import charts_of
from whisperbench.report.charts.of_ab import pictured
from whisperbench.report.charts.render import drawn, files_of
from whisperbench.results.run_file import write_whole


def draw(job: Surroundings, artifact: Path, suite: Path, folder: Path) -> int:
    """Draw an artifact's charts as SVG files, two each.

    Args:
        job: whose environment says what became of the jobs before.
        artifact: what the measuring job has left: a folder, or a zip file.
        suite: the base's suite.toml.
        folder: of the files; it is made where there is none.

    Returns:
        How many charts there are.

    Raises:
        InputError: nothing can be drawn, or the extra `report` is not installed.
    """
    unmet = unmet_needs(job.required(NEEDS))
    if any(not each.endswith(": failure") for each in unmet):
        raise InputError(f"a job that this one needs did not succeed ({', '.join(unmet)})")
    files = read_artifact(artifact)
    try:
        left = left_in({name: data for name, data in files.items() if FILES.fullmatch(name)})
        pictures = drawn(charts_of(pictured(left, read_suite(suite))))
    # Files that pass every check may still hold figures that nothing can be drawn of.
    except (ArithmeticError, ValueError, LookupError, AssertionError, RecursionError) as error:
        raise InputError(f"the figures cannot be drawn: {one_line(repr(error))}") from error
    for name, svg in files_of(pictures):
        write_whole(folder / name, svg.encode())
    return len(pictures)
