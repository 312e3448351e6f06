"""Tests of whisperbench.measure.memory."""
