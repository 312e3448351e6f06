"""Backends: what loads a precision, and how to see that it did. A module each, with its BACKEND."""
