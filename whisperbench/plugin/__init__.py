"""The pytest side of the suite: options, session, timing and the gate."""
