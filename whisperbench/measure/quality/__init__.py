"""The quality pass: what is heard, and how far a precision computes from 32-bit floats."""
