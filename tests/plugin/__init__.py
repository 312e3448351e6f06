"""Tests of whisperbench.plugin."""
