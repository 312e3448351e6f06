"""Tests of whisperbench.asked."""
