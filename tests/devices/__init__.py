"""Tests of whisperbench.devices."""
