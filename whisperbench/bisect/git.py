"""git, run so that it neither asks, fetches nor runs hooks; what goes wrong becomes one line."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from whisperbench.errors import InputError, one_line, printable

_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "advice.detachedHead": "false",
}


def _environment() -> dict[str, str]:
    """Return variables under which git does what it is told, and in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    settings = {
        f"GIT_CONFIG_{what}_{number}": text
        for number, pair in enumerate(_SETTINGS.items())
        for what, text in zip(("KEY", "VALUE"), pair, strict=True)
    }
    count = {"GIT_CONFIG_COUNT": str(len(_SETTINGS))}
    still = {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    return kept | settings | count | still


@dataclass(frozen=True)
class Git:
    """A repository, or a worktree of one."""

    folder: Path

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Run a command of git's, and return what it wrote.

        Args:
            arguments: of git.
            fails: whether it may fail; what it wrote to both outputs is returned then.

        Raises:
            InputError: it fails, or there is no git.
        """
        try:
            done = subprocess.run(
                ["git", "-C", str(self.folder), *arguments],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="replace",
            )
        except FileNotFoundError:
            raise InputError("git is not installed, or not on PATH") from None
        if done.returncode and not fails:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise InputError(f"{self.folder}: git {arguments[0]}: {one_line(said[-1])}")
        return done.stdout + (done.stderr if fails else "")

    def commit(self, revision: str) -> str:
        """Return the commit of a revision.

        Raises:
            InputError: this is no repository, or there is no such revision in it.
        """
        self.run("rev-parse", "--git-dir")
        name = f"{revision}^{{commit}}"
        found = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", name, fails=True)
        lines = found.split()
        if len(lines) != 1 or revision.startswith("-"):
            shallow = self.run("rev-parse", "--is-shallow-repository").strip() == "true"
            hint = "; the clone is shallow: git fetch --unshallow" if shallow else ""
            raise InputError(f"{self.folder}: has no one revision {printable(revision)!r}{hint}")
        return lines[0]

    def is_bisecting(self) -> bool:
        """Whether a bisection is under way in it.

        Raises:
            InputError: this is no repository.
        """
        path = self.run("rev-parse", "--git-path", "BISECT_START").rstrip("\n")
        return (self.folder / path).exists()

    def is_ancestor(self, one: str, other: str) -> bool:
        """Whether a commit is among those that another one is made of."""
        return not self.run("rev-list", "--max-count=1", one, f"^{other}")
