"""Versions of code: git revisions, releases of packages, and environments that hold one of them."""
