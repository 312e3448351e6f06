"""Tests of whisperbench.measure.turns."""
