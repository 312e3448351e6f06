"""Base against head on one machine: both sides' processes, their turns, and when it is enough."""
