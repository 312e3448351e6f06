"""The `whisperbench` command: it only reads, prints and exits. A module a group of commands."""

# The order of these imports is the one in which --help lists the commands.
from whisperbench.cli import results, report, advise, baselines, ab, bisect, scale, machine, pulls  # isort: skip
from whisperbench.cli.program import app, main

__all__ = [
    "ab",
    "advise",
    "app",
    "baselines",
    "bisect",
    "machine",
    "main",
    "pulls",
    "report",
    "results",
    "scale",
]
