"""Reporting, pure: results and verdicts in, text out."""
