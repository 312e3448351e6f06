"""Versions of code: git revisions, environments, releases of packages, and what differs in them."""
