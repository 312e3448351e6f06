"""Backends: what makes a precision's layers, how it is told, and how to see that it did."""
