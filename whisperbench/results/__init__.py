"""What a run comes to: metrics, the result types, the file, and what was measured on."""
