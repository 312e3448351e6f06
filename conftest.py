"""Loads the pytest plugin and the fixtures of benchmarks, and nothing else."""

pytest_plugins = [
    "whisperbench.plugin",
    "fixtures.device",
    "fixtures.durations",
    "fixtures.audio",
    "fixtures.models",
    "fixtures.fresh",
    "fixtures.limits",
    "fixtures.memory",
    "fixtures.soak",
    "fixtures.startup",
    "fixtures.cost",
    "fixtures.quality",
]
