"""The pytest side of the suite: the one package that imports pytest."""

pytest_plugins = [
    "whisperbench.plugin.reach",  # first, for what is imported later is to be seen
    "whisperbench.plugin.options",
    "whisperbench.plugin.needs",
    "whisperbench.plugin.session",
    "whisperbench.plugin.collecting",
    "whisperbench.plugin.parts",
    "whisperbench.plugin.shards",
    "whisperbench.plugin.outcomes",
    "whisperbench.plugin.machine",
    "whisperbench.plugin.gate",
    "whisperbench.plugin.replay",
    "whisperbench.plugin.timing",
    "whisperbench.plugin.recording",
    "whisperbench.plugin.on_request",
    "whisperbench.plugin.progress",
    "whisperbench.plugin.running",
]
"""Its modules that have hooks or fixtures."""
