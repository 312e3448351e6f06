"""Tests of whisperbench.judge."""
