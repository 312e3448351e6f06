"""What a run asks for: models, precisions, clips, recordings, suite.toml, and the plan."""
