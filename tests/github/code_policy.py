"""The part of the security checklist that is about code and profiles, as functions over both."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache

from tests.github.documents import Repository

PICKLES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
"""Modules whose loading runs what a file says."""

BETWEEN_OWN_PROCESSES = {"whisperbench/measure/latency/startup.py"}
"""It reads from the pipe of the process that has started it, and no file."""


def no_pickle(repository: Repository) -> Iterator[str]:
    """No file is unpickled: that runs whatever its author wrote."""
    for name, node in _nodes(repository):
        modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            modules.append(node.module)
        if {each.partition(".")[0] for each in modules} & PICKLES and (
            name not in BETWEEN_OWN_PROCESSES
        ):
            yield f"{name}:{node.lineno}: imports {', '.join(modules)}"  # type: ignore[attr-defined]
        if (
            isinstance(node, ast.Call)
            and _called(node) == "torch.load"
            and (not _is(node, "weights_only", True))
        ):
            yield f"{name}:{node.lineno}: torch.load without weights_only=True"
        if isinstance(node, ast.Call) and any(
            keyword.arg == "allow_pickle" and not _is(node, "allow_pickle", False)
            for keyword in node.keywords
        ):
            yield f"{name}:{node.lineno}: allow_pickle"


def no_remote_code(repository: Repository) -> Iterator[str]:
    """No checkpoint's own code is run: trust_remote_code is never given as anything but False."""
    for name, node in _nodes(repository):
        if isinstance(node, ast.Call) and any(
            keyword.arg == "trust_remote_code" and not _is(node, "trust_remote_code", False)
            for keyword in node.keywords
        ):
            yield f"{name}:{node.lineno}: trust_remote_code"
        if isinstance(node, ast.Constant) and node.value == "trust_remote_code":
            yield f"{name}:{node.lineno}: trust_remote_code, by its name"


def weights_are_safetensors(repository: Repository) -> Iterator[str]:
    """A model is loaded from safetensors alone."""
    for name, node in _nodes(repository):
        if not isinstance(node, ast.Call):
            continue
        of, _, method = _called(node).rpartition(".")
        model = re.search(r"ForConditionalGeneration$|Model$", of)
        if method == "from_pretrained" and model and not _is(node, "use_safetensors", True):
            yield f"{name}:{node.lineno}: {of} without use_safetensors=True"


def revisions_are_pinned(repository: Repository) -> Iterator[str]:
    """A model of the hub that a shipped profile names is named by revision, all 40 digits."""
    path = repository.root / "benchmarks" / "suite.toml"
    for profile, row in tomllib.loads(path.read_text(encoding="utf-8"))["profile"].items():
        for model in [*row.get("models", ()), *row.get("quality_models", ())]:
            of_hub = not model.startswith("dummy:") and model != "nano"
            if of_hub and not re.search(r"@[0-9a-f]{40}$", model):
                yield f"benchmarks/suite.toml: profile {profile}: {model} has no revision"


RULES = (no_pickle, no_remote_code, weights_are_safetensors, revisions_are_pinned)


def _nodes(repository: Repository) -> Iterator[tuple[str, ast.AST]]:
    for path in repository.python():
        name = path.relative_to(repository.root).as_posix()
        for node in _walked(path.read_text(encoding="utf-8")):
            yield name, node


@cache
def _walked(text: str) -> list[ast.AST]:
    """Return the parts of a file that the items look at."""
    looked_at = (ast.Call, ast.Constant, ast.Import, ast.ImportFrom)
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, looked_at)]


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def _is(node: ast.Call, argument: str, value: object) -> bool:
    """Whether a call gives an argument as one constant."""
    return any(
        each.arg == argument and isinstance(each.value, ast.Constant) and each.value.value is value
        for each in node.keywords
    )
