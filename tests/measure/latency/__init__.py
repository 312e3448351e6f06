"""Tests of whisperbench.measure.latency."""
