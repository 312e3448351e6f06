"""Shared by the tests of versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.versions.repositories import begin, commit


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what is made out of everybody's way."""
    monkeypatch.setenv("WHISPERBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits, in a path with spaces: ours.py says old, then new."""
    folder = begin(tmp_path / "a repository")
    commit(folder, {"ours.py": "VALUE = 'old'\n"})
    commit(folder, {"ours.py": "VALUE = 'new'\n"})
    return folder
