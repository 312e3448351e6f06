"""Tests of whisperbench.results."""
