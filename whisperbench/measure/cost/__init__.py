"""The cost pass: kernels, copies, waits, ops and calls, counted exactly."""
