"""The latency pass: rounds of wall time, start-up in fresh processes, energy."""
