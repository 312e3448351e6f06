"""Baselines: runs in fresh processes, and where they are kept."""
