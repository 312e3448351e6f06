"""Versions of code: git revisions, environments made of their locks, the suite for both sides."""
