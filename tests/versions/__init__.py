"""Tests of whisperbench/versions."""
