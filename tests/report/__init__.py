"""Tests of whisperbench.report."""
