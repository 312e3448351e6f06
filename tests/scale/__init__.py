"""Tests of runs over several processes."""
