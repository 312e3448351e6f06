"""Tests of whisperbench.measure.cost."""
