"""Base against head: two live processes that take turns, round by round, on the same cores."""
