"""Devices: what they are and hold, what runs on them, and which one is meant."""
