"""Tests of whisperbench.asked.audio."""
