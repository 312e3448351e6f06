"""Tests of whisperbench.ab."""
