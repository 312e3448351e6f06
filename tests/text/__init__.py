"""Tests of whisperbench.text."""
