"""Options and plugins of the suite. Loads neither torch nor transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

pytest_plugins = [
    "whisperbench.plugin.session",
    "whisperbench.plugin.results",
    "whisperbench.plugin.gate",
    "whisperbench.plugin.replay",
    "fixtures.device",
    "fixtures.audio",
    "fixtures.models",
    "fixtures.fresh",
    "fixtures.limits",
    "fixtures.memory",
    "fixtures.startup",
    "whisperbench.plugin.timing",
    "fixtures.cost",
    "fixtures.quality",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of `pytest benchmarks/`; their defaults are in benchmarks/suite.toml."""
    group = parser.getgroup("whisperbench")

    # All of them append: of one that takes one value a second is refused, and not forgotten.
    def overrides(name: str, metavar: str, text: str) -> None:
        group.addoption(name, metavar=metavar, action="append", default=[], help=text)

    overrides(
        "--model",
        "SPEC[,SPEC]",
        "hub id (owner/name[@<40-hex revision>]), folder, dummy:<size>, or nano",
    )
    overrides("--precision", "NAME[,NAME]", "fp32, fp16, bf16, int8, int8-t0, nf4 or as-saved")
    overrides(
        "--clip", "CLIP[,CLIP]", "clip of the suite, or a wav, flac or mp3 file (text in .txt)"
    )
    overrides(
        "--data", "PATH", "your recordings, for test_quality: a folder (text in .txt) or a manifest"
    )
    overrides("--batch-size", "N[,N]", "clips transcribed at once")
    overrides("--attention", "NAME[,NAME]", "sdpa, eager or flash_attention_2")
    overrides("--tokens", "N", "tokens of the fixed-length decode, up to 444")
    overrides(
        "--rounds", "N", "timed rounds; of start-up, where each is a process, at most the profile's"
    )
    overrides("--language", "CODE", "language of the clips, for multilingual models")
    group.addoption(
        "--allow-unused",
        action="store_true",
        help="measure a model although an adapter or tensors that came with it are not used",
    )
    overrides(
        "--device",
        "DEVICE",
        "cpu, cuda or cuda:<index>; by default the first GPU, or the CPU where there is none",
    )
    group.addoption(
        "--baseline",
        metavar="PATH",
        nargs="?",
        action="append",
        default=[],
        const="the device's own",
        help="judge by a baseline (default: baselines/<device key>/default.json)",
    )
    overrides(
        "--result",
        "PATH",
        "where to write the run's JSON file (default: results/<time>-<device key>.json)",
    )
