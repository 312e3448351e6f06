"""Tests of whisperbench.measure."""
