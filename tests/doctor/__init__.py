"""Tests of whisperbench.doctor."""
