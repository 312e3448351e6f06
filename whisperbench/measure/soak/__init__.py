"""The soak: a cell called many times in a fresh process, whose memory is read between calls."""
