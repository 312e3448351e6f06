"""Judging, pure: figures and limits in, verdicts out."""
