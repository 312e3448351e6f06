"""Tests of the memory pass, which watches a cell in a fresh process, without a GPU."""
