"""Tests of whisperbench.record."""
