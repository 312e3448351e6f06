"""A run's report as one HTML page without any script: pure, what was measured in, the page out."""
