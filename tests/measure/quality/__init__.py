"""Tests of whisperbench.measure.quality."""
