"""The suite's own files: where the checkout is, and what lies where in it.

The library runs from a checkout (`pip install -e .`) or installed from a wheel, which has none of
these files. Then the checkout is the one that the command was started in, if it was.
"""

from __future__ import annotations

from pathlib import Path

from whisperbench.errors import InputError


def find_checkout(package: Path) -> Path | None:
    """Find the checkout that a package of this library belongs to, or else the one around us.

    Args:
        package: the folder of the package whisperbench.

    Returns:
        The checkout's folder; None where the package is installed without one, and the current
        folder is in none.
    """
    if _is_checkout(package.parent):
        return package.parent
    try:
        here = Path.cwd()
    except OSError:  # somebody has removed the folder that we are in
        return None
    return next(filter(_is_checkout, (here, *here.parents)), None)


def _is_checkout(folder: Path) -> bool:
    return all(
        (folder / name).is_file() for name in ("benchmarks/suite.toml", "whisperbench/__init__.py")
    )


_FOUND = find_checkout(Path(__file__).resolve().parents[1])

ROOT = _FOUND or Path(__file__).resolve().parents[2]
"""The checkout. Without one nothing lies in the places below: `require_checkout` first."""

BENCHMARKS = ROOT / "benchmarks"
SUITE_FILE = BENCHMARKS / "suite.toml"
RESULTS = ROOT / "results"
BASELINES = ROOT / "baselines"
CLIPS_FOLDER = ROOT / "fixtures" / "clips"
NANO_FOLDER = ROOT / "fixtures" / "checkpoints" / "nano"


def has_checkout() -> bool:
    """Whether the suite's own files are there."""
    return _FOUND is not None


def require_checkout(command: str, otherwise: str = "") -> None:
    """Refuse a command that needs the suite's own files where there are none.

    Args:
        command: what to call it, such as `limits`.
        otherwise: what else can be done, such as ", or name files".

    Raises:
        InputError: there is no checkout.
    """
    if not has_checkout():
        raise InputError(
            f"`whisperbench {command}` needs the suite's own files (benchmarks/, fixtures/, "
            "baselines/), which an installed whisperbench does not have: run it in a checkout of "
            f"whisperbench{otherwise}"
        )
