"""Tests of whisperbench.whisper."""
