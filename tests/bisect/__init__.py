"""Tests of whisperbench/bisect."""
