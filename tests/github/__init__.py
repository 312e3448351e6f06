"""Workflows, their policy, the scripts that they run, and the runner's side."""
