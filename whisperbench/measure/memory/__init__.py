"""The memory pass: a cell in a fresh process, watched from outside."""
